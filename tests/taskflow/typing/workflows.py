"""Workflows, as an editor sees them."""

from dataclasses import dataclass
from typing import reveal_type

from taskflow import AsyncRun, Run, WorkflowResult, task, workflow


@dataclass
class Order:
    """An argument of a type of its own."""

    id: str
    cents: int


@task(queue="mails")
def pack(line: str, fast: bool = False) -> float:
    return 1.5


def pay(order: Order, *, copy: bool = False) -> str:
    return order.id


async def fetch(url: str) -> bytes:
    return url.encode()


@workflow(queue="orders", retries=3, keep="30d")
def fulfil(ctx: Run, order: Order, note: str = "") -> int:
    reveal_type(ctx.step(pay, order))  # is: str
    reveal_type(ctx.options(retries=3).step(pay, order, copy=True))  # is: str
    reveal_type(ctx.call(pack, "a"))  # is: float
    reveal_type(ctx.map(pack, ["a"]))  # is: list[float]
    reveal_type(ctx.map(pack, ["a"], errors="collect"))  # is: list[dict[str, Any]]
    ctx.map(pack, [], errors="x")  # error: call-overload, reportCallIssue, reportArgumentType
    reveal_type(ctx.wait("picked.up"))  # is: Any
    reveal_type(ctx.wait("picked.up", "3d", type=Order))  # is: Order | None
    reveal_type(ctx.now())  # is: float
    reveal_type(ctx.patched("new"))  # is: bool
    ctx.step(pay, "ord_1")  # error: arg-type, reportArgumentType
    ctx.step(pay)  # error: call-arg, reportCallIssue
    ctx.options(name="x").step(pay, 3)  # error: arg-type, reportArgumentType
    ctx.options(retry=3)  # error: call-arg, reportCallIssue
    ctx.call(pack, 1)  # error: arg-type, reportArgumentType
    return order.cents


@workflow()
async def crawl(ctx: AsyncRun, url: str) -> int:
    reveal_type(await ctx.step(fetch, url))  # is: bytes
    reveal_type(await ctx.step(pay, Order("a", 1)))  # is: str
    reveal_type(await ctx.call(pack, "a"))  # is: float
    reveal_type(await ctx.map(pack, ["a"], limit=2))  # is: list[float]
    reveal_type(await ctx.wait("go", type=int))  # is: int | None
    await ctx.step(fetch, 1)  # error: call-overload, reportArgumentType, reportCallIssue
    return 1


# ---- delay -------------------------------------------------------------------------------------
order = Order("ord_1", 990)
reveal_type(fulfil.delay(order))  # is: WorkflowResult[int]
reveal_type(fulfil.delay(order, note="x").get(timeout=5))  # is: int
reveal_type(fulfil.options(id="order-1").delay(order).get())  # is: int
reveal_type(crawl.delay("a").get())  # is: int
reveal_type(fulfil.delay(order).signal("picked.up", 1))  # is: bool
reveal_type(fulfil.delay(order).fork("pay").get())  # is: int
reveal_type(WorkflowResult[int]("order-1").get())  # is: int
fulfil.delay("ord_1")  # error: arg-type, reportArgumentType
fulfil.delay()  # error: call-arg, reportCallIssue
fulfil.options(id="x").delay(order, order)  # error: arg-type, reportArgumentType
crawl.delay(1)  # error: arg-type, reportArgumentType
fulfil.delay(order).signal()  # error: call-arg, reportCallIssue
workflow(version="2")  # error: arg-type, reportArgumentType


async def main() -> None:
    """The same from a coroutine."""
    reveal_type(await crawl.delay_async("a"))  # is: WorkflowResult[int]
    reveal_type(await crawl.delay("a"))  # is: int
    reveal_type(await fulfil.options(key="k").delay_async(order))  # is: WorkflowResult[int]
