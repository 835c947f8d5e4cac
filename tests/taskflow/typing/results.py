"""Results, made again from their ids and waited for together, as an editor sees them."""

from typing import reveal_type

from taskflow import Result, as_completed, send_task, task, wait_all, wait_any


@task(result="1d")
def add(x: int, y: int = 1) -> int:
    return x + y


again = Result("0198")
reveal_type(again)  # is: Result[Any]
reveal_type(Result[int]("0198"))  # is: Result[int]
reveal_type(Result("0198", returns=int).get())  # is: int
reveal_type(Result("0198", returns=list[int]).get())  # is: list[int]
reveal_type(send_task("shop.add", [1], {"y": 2}, delay=5))  # is: Result[Any]
reveal_type(wait_all([add.delay(1), add.delay(2)], timeout=5))  # is: list[int]
reveal_type(wait_any([add.delay(1)]))  # is: Result[int]
reveal_type([one.get() for one in as_completed([add.delay(1)])])  # is: list[int]
reveal_type(add.delay(1).attempts)  # is: int
reveal_type(add.delay(1).cancel())  # is: bool
if (error := add.delay(1).error) is not None:
    reveal_type(error.message)  # is: str
if (step := add.delay(1).progress) is not None:
    reveal_type(step.note)  # is: str
reveal_type(Result("0198", returns=int | None))  # is: Result[Any]


def look_at(results: list[Result]) -> None:
    """Without a parameter it is a Result[Any]."""
    reveal_type(results[0].get())  # is: Any


Result(17)  # error: call-overload, reportArgumentType
send_task("shop.add", urgency=3)  # error: call-arg, reportCallIssue
send_task("shop.add", priority=3)  # error: arg-type, reportArgumentType
send_task("shop.add", priority="high")
value = add.delay(1).valu  # error: attr-defined, reportAttributeAccessIssue
