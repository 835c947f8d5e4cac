"""aiobotocore: every operation of both services, then many polls at once on one event loop."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.clients import sns_operations, sqs_operations
from tests.clients.steps import Steps
from tests.clients.wire import REGION, Wire

POLLS = 20


class Waited:
    """An asynchronous client whose calls are waited for."""

    def __init__(self, runner: asyncio.Runner, client: Any) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            return self._runner.run(getattr(self._client, method)(**params))

        return call


async def poll_together(sqs: Any, wire: Wire) -> list[str]:
    """Park polls on as many queues, send to each, and see every poll answered."""
    made = [sqs.create_queue(QueueName=wire.name(f"poll-{n}")) for n in range(POLLS)]
    urls = [one["QueueUrl"] for one in await asyncio.gather(*made)]
    polls = [
        asyncio.create_task(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) for url in urls
    ]
    await asyncio.gather(
        *[sqs.send_message(QueueUrl=url, MessageBody=f"{n}") for n, url in enumerate(urls)]
    )
    return [answer["Messages"][0]["Body"] for answer in await asyncio.gather(*polls)]


async def list_pages(sqs: Any, wire: Wire) -> int:
    """How many queues an asynchronous paginator finds."""
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=wire.name("poll-"), PaginationConfig={"PageSize": 7}
    )
    return sum([len(page["QueueUrls"]) async for page in pages])


async def cancel_poll(sqs: Any, wire: Wire) -> str:
    """Give up a poll; what is sent afterwards is for the next one."""
    url = (await sqs.create_queue(QueueName=wire.name("cancel")))["QueueUrl"]
    try:
        async with asyncio.timeout(1.0):
            await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    except TimeoutError:
        await sqs.send_message(QueueUrl=url, MessageBody="not lost")
    answer = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)
    return str(answer["Messages"][0]["Body"])


def main(endpoint: str) -> int:
    steps = Steps()
    steps.versions(f"aiobotocore {version('aiobotocore')}, botocore {version('botocore')}")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        session = get_session()
        retries = {"total_max_attempts": 1}
        config = AioConfig(retries=retries, read_timeout=60, max_pool_connections=2 * POLLS)
        sqs, sns = (
            runner.run(
                stack.enter_async_context(
                    session.create_client(name, REGION, endpoint_url=endpoint, config=config)
                )
            )
            for name in ("sqs", "sns")
        )
        try:
            wire = Wire(Waited(runner, sqs), Waited(runner, sns), "aio", steps)
            for section in sqs_operations.SECTIONS + sns_operations.SECTIONS:
                section(wire)
            found = runner.run(poll_together(sqs, wire))
            steps.same(f"{POLLS} polls at once", found, [str(n) for n in range(POLLS)])
            steps.same("an asynchronous paginator", runner.run(list_pages(sqs, wire)), POLLS)
            steps.same("a poll given up", runner.run(cancel_poll(sqs, wire)), "not lost")
        finally:
            runner.run(stack.aclose())
    return steps.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
