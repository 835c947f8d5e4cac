"""Tasks of `async def` functions, as an editor sees them."""

from typing import reveal_type

from taskflow import Context, task


@task(result="1d")
async def fetch(url: str, *, tries: int = 3) -> bytes:
    return url.encode()


@task
async def crawl(ctx: Context, urls: list[str]) -> int:
    return len(urls)


@task
def add(x: int, y: int = 1) -> int:
    return x + y


reveal_type(fetch.delay("a").get())  # is: bytes
reveal_type(crawl.delay(["a"]))  # is: Result[int]
reveal_type(crawl.call(["a"], timeout=5))  # is: int
fetch.delay(1)  # error: arg-type, reportArgumentType
fetch.delay("a", retries=3)  # error: call-arg, reportCallIssue
crawl.delay("a")  # error: arg-type, reportArgumentType


async def main() -> None:
    """The same from a coroutine."""
    reveal_type(await fetch("a"))  # is: bytes
    reveal_type(await fetch.delay_async("a"))  # is: Result[bytes]
    reveal_type(await fetch.delay("a"))  # is: bytes
    reveal_type(await add.options(delay=5).delay_async(1))  # is: Result[int]
    reveal_type(await (await add.delay_async(1)).get_async(timeout=5))  # is: int
    reveal_type(await add.call_async(1))  # is: int
    reveal_type(await add.options(delay=5).call_async(1, timeout=5))  # is: int
    reveal_type(await add.send_many_async([1, 2]))  # is: list[Result[int]]
    await add.call_async("x")  # error: call-overload, reportArgumentType
    await add.delay_async("x")  # error: arg-type, reportArgumentType
    await add.options(delay=5).delay_async(1, z=2)  # error: call-arg, reportCallIssue
    await add(1)  # error: misc, reportGeneralTypeIssues
