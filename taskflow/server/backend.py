"""What the actions of the wire server work with: the broker, its names, threads for its verbs."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import ParamSpec, TypeVar, cast

from taskflow.broker import Broker
from taskflow.broker.prompt import Gathered, WouldWait
from taskflow.broker.settings import Sent
from taskflow.errors import FileReplaced, QueueNotFound
from taskflow.message import Message
from taskflow.server.app import Call
from taskflow.server.pace import Pace
from taskflow.server.rounds import Rounds
from taskflow.server.waiting import Waiting
from taskflow.wire.envelope import wire_topic
from taskflow.wire.error_codes import invalid_parameter, service_error
from taskflow.wire.names import (
    QueueAddress,
    parse_arn,
    parse_queue_url,
    queue_arn,
    queue_url,
    store_queue,
    store_topic,
    topic_arn,
    wire_queue,
)

log = logging.getLogger("taskflow.server")

P = ParamSpec("P")
T = TypeVar("T")
LONGEST_KEPT = 1024  # characters
LONG = 64 * 1024  # bytes that are stored in a thread

_parse_short_url = lru_cache(1024)(parse_queue_url)


def _parse_queue_url(url: str, region: str) -> QueueAddress:
    """Long ones are not kept: a thousand of 4 MB each would be."""
    return (_parse_short_url if len(url) <= LONGEST_KEPT else parse_queue_url)(url, region)


@dataclass(frozen=True, slots=True)
class Backend:
    """One broker as one AWS account sees it. `region` is the one whose names have no prefix.

    Verbs run in `threads`, since any of them may wait for the disk, or for a lock that another
    process holds. Several that wait for the disk together share one fsync. Only what touches a few
    rows is tried on the event loop first, where the broker does such a thing or says that
    it would wait: to hand it to a thread and back costs more than it does itself. What would wait
    does so in one thread, together (`Rounds`).
    """

    broker: Broker
    waiting: Waiting
    threads: Executor
    account: str
    region: str
    rounds: Rounds | None = field(init=False)
    """For what comes many at a time; None for a broker that has no such thing."""
    _gathered: Gathered | None = field(init=False)

    def __post_init__(self) -> None:
        gathered = self.broker if isinstance(self.broker, Gathered) else None
        object.__setattr__(self, "_gathered", gathered)
        rounds = None
        if gathered is not None:
            rounds = Rounds(gathered, self.threads, Pace(self.broker.clock))
        object.__setattr__(self, "rounds", rounds)

    async def run(self, verb: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call a verb of the broker in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, partial(verb, *args, **named))

    def start(self, verb: Callable[P, object], *args: P.args, **named: P.kwargs) -> None:
        """Call a verb in a thread, and do not wait for it: what it raises is logged."""
        self.threads.submit(partial(verb, *args, **named)).add_done_callback(_log_failure)

    async def run_short(self, verb: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call a verb on a few rows: here, unless it would wait."""
        call, rounds = partial(verb, *args, **named), self.rounds
        if rounds is not None and rounds.busy:
            return await rounds.do(call)
        if self._gathered is not None:
            try:
                ((answer, error),), wait = self._gathered.gathered([call])
                if error is not None:
                    raise error
                if wait is not None:
                    await self.run(wait)
                return cast(T, answer)
            except (WouldWait, FileReplaced):
                pass  # nothing was done: in a thread, then
        return await (self.run(call) if rounds is None else rounds.do(call, would_wait=True))

    async def together(self, verbs: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call what calls several verbs that declare, in a thread, as one change."""
        return await self.run(self.broker.together, partial(verbs, *args, **named))

    async def send(self, queue: str, messages: Sequence[Message]) -> Sequence[Sent]:
        """The broker's `send`."""
        short = sum(message.size for message in messages) <= LONG
        run = self.run_short if short else self.run
        return await run(self.broker.send, queue, messages)

    # ---- queues -----------------------------------------------------------------------------
    def queue_of(self, call: Call) -> str:
        """The broker's name of the queue that `QueueUrl` names. Raises WireError."""
        return find_queue(call.params["QueueUrl"], call.region, self)

    def queue_named(self, name: str, call: Call) -> str:
        """The broker's name of a queue in the region of the call."""
        return store_queue(name, call.region, self.region)

    def queue_of_arn(self, arn: str) -> str:
        """The broker's name of the queue with this ARN. Raises WireError for what is no ARN of a
        queue of this account; QueueNotFound is left to the broker."""
        found = parse_arn(arn, "QueueArn")
        if found.service != "sqs" or found.account != self.account:
            raise QueueNotFound(arn)
        return store_queue(found.resource, found.region, self.region)

    def url_of(self, queue: str, call: Call) -> str:
        """The URL of a queue, on the host that the client used."""
        _, name = wire_queue(queue, self.region)
        return queue_url(call.base_url, self.account, name)

    def arn_of_queue(self, queue: str) -> str:
        """The ARN of a queue by its name in the broker."""
        region, name = wire_queue(queue, self.region)
        return queue_arn(region, self.account, name)

    # ---- topics -----------------------------------------------------------------------------
    def topic_named(self, name: str, call: Call) -> str:
        """The broker's name of a topic in the region of the call."""
        return store_topic(name, call.region, self.region)

    def topic_of_arn(self, arn: str, call: Call, parameter: str = "TopicArn") -> str:
        """The broker's name of the topic with this ARN, which must be of the call's region. Raises
        WireError."""
        found = parse_arn(arn, parameter)
        if found.region != call.region:
            raise invalid_parameter(parameter)
        if found.service != "sns" or found.account != self.account or ":" in found.resource:
            raise service_error("sns", "NotFoundException", "Topic does not exist")
        return store_topic(found.resource, found.region, self.region)

    def arn_of_topic(self, topic: str) -> str:
        """The ARN of a topic by its name in the broker."""
        region, name = wire_topic(topic, self.region)
        return topic_arn(region, self.account, name)


def find_queue(url: str, region: str, backend: Backend) -> str:
    """The broker's name of the queue that a URL names. Raises WireError."""
    address = _parse_queue_url(url, region)
    if address.account not in ("", backend.account):
        raise service_error("sqs", "QueueDoesNotExist")
    return store_queue(address.name, address.region, backend.region)


def _log_failure(done: "Future[object]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("%s: %s", type(error).__name__, error)
