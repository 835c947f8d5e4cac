"""Tasks of `def` functions, as an editor sees them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import reveal_type

from taskflow import Context, task


@dataclass
class Order:
    """An argument of a type of its own."""

    id: str
    cents: int


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task(queue="mails", result="1d", retries=2)
def confirm(ctx: Context, order: Order, *, copy: bool = False) -> str:
    return order.id


# ---- a plain call ------------------------------------------------------------------------------
reveal_type(add(1))  # is: int
reveal_type(confirm.name)  # is: str
add("x")  # error: arg-type, reportArgumentType

# ---- delay -------------------------------------------------------------------------------------
reveal_type(add.delay(1))  # is: Result[int]
reveal_type(add.delay(1, y=2).get(timeout=5))  # is: int
reveal_type(confirm.delay(Order("ord_1", 990), copy=True).get())  # is: str
reveal_type(add.delay(1).state == "done")  # is: bool
add.delay("x")  # error: arg-type, reportArgumentType
add.delay()  # error: call-arg, reportCallIssue
add.delay(1, 2, 3)  # error: call-arg, reportCallIssue
add.delay(1, z=2)  # error: call-arg, reportCallIssue
confirm.delay("ord_1")  # error: arg-type, reportArgumentType
confirm.delay(Order("ord_1", 990), True)  # error: call-arg, reportCallIssue
add.delay(1).get(timeout="5 s")  # error: arg-type, reportArgumentType
wrong: str = add.delay(1).get()  # error: assignment, reportAssignmentType

# ---- options of a call -------------------------------------------------------------------------
noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
reveal_type(add.options(delay="5m", key="k").delay(1))  # is: Result[int]
reveal_type(add.options(at=noon, expires=timedelta(days=1)).delay(1).get())  # is: int
reveal_type(add.options(result=None).call(1))  # is: int
add.options(delay=60, id="x").delay("x")  # error: arg-type, reportArgumentType
add.options(dely=60)  # error: call-arg, reportCallIssue
add.options(delay=[60])  # error: arg-type, reportArgumentType
add.options(on_key="perhaps")  # error: arg-type, reportArgumentType
add.options(headers={"a": 1})  # error: dict-item, reportArgumentType

# ---- call and send_many ------------------------------------------------------------------------
reveal_type(add.call(1, 2))  # is: int
reveal_type(add.call(1, 2, timeout=5))  # is: int
reveal_type(add.options(key="k").call(1, timeout=None))  # is: int
add.call("x")  # error: call-overload, reportArgumentType
add.call(1, timeout="5 s")  # error: call-overload, reportArgumentType
reveal_type(add.send_many([(1, 2), {"x": 3}, 5]))  # is: list[Result[int]]
reveal_type([one.get() for one in add.send_many([1])])  # is: list[int]
add.send_many(1)  # error: arg-type, reportArgumentType
