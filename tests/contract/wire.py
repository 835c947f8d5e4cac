"""The AWS broker against the wire server in this process, under one clock, without a socket."""

# botocore has no types.
# mypy: allow-untyped-calls

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.config import open_broker
from taskflow.server.backend import Backend
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting
from taskflow.testing import ManualClock
from tests.contract.clients import give_back, lent_clients
from tests.taskflow.server.test_boto3 import Raw
from tests.taskflow.server.wire import CALLER, HOST, ask, make_app, make_scope

ADDRESS = "aws://us-east-1?endpoint=http://localhost:9324"


class SharedClock(ManualClock):
    """A clock that the server's own follows. Who waits on it is parked when the server, too, has
    parked a poll for it."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.server = ManualClock(start)
        self.is_settled: Callable[[], bool] = lambda: True

    def set(self, now: float) -> None:
        """Jump to a time; the server first, as it is asked by who wakes here."""
        self.server.set(now)
        super().set(now)

    def wait_until_parked(self, threads: int = 1) -> None:
        """Block until that many threads wait, and the server has parked every poll they began."""
        super().wait_until_parked(threads)
        while not self.is_settled():
            pass


@contextmanager
def aws_broker(clock: SharedClock, address: str = ADDRESS) -> Iterator[AwsBroker]:
    """The AWS broker over a server over a broker in memory; both end with the block."""
    before = set(threading.enumerate())  # polls of other tests, over sockets, end by themselves
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server-loop")
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    behind = open_broker("memory://", clock=clock.server, random=random.Random(7))

    async def start() -> Backend:
        waiting = Waiting(behind)
        waiting.start()
        return Backend(behind, waiting, threads, CALLER.account, "us-east-1")

    async def stop() -> None:
        backend.waiting.close()

    async def count() -> int:
        return int(backend.waiting.count())

    with ThreadPoolExecutor(16) as threads:
        backend = run(start())
        moves = MoveActions(backend)
        actions = {**sqs_actions(backend, moves), **Sns(backend).actions(), **Sts().actions()}
        app = make_app(actions, clock=clock.server)
        with lent_clients():
            broker = open_broker(address, clock=clock, random=random.Random(7))
        assert isinstance(broker, AwsBroker)
        polls = broker._polls
        clock.is_settled = lambda: bool(run(count()) >= polls.count())
        broker.api.client("sts")
        send = connect(broker, app, run)
        try:
            yield broker
        finally:
            clock.is_settled = lambda: True
            broker.close()
            run(stop())
            for poll in threading.enumerate():
                if "taskflow-poll" in poll.name and poll not in before:
                    poll.join(10)
            behind.close()
            give_back(broker.api, send)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def connect(broker: AwsBroker, app: Any, run: Callable[[Any], Any]) -> Callable[..., AWSResponse]:
    """Have the broker's boto3 clients call an app in this process; answers what they call."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        headers = [
            (name.lower(), text.decode() if isinstance(text, bytes) else str(text))
            for name, text in request.headers.items()
        ]
        path = request.url.removeprefix("http://localhost:9324")
        scope = make_scope(request.method, path, "", (HOST, *headers))
        answer = run(ask(app, scope, body))
        return AWSResponse(request.url, answer.status, answer.headers, Raw(answer.body))

    for service in ("sns", "sqs", "sts"):
        broker.api.clients[service].meta.events.register("before-send", send)
    return send
