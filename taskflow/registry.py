"""Subscriptions: which handler takes which topic on which queue. Collected at import."""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from taskflow.errors import BrokerError, RegistrationError
from taskflow.filters import Scope, parse_filter
from taskflow.limits import (
    DLQ_SUFFIX,
    FIFO_SUFFIX,
    MAX_VISIBILITY,
    check_queue,
    check_seconds,
    check_topic,
    dlq_of,
    is_fifo,
)
from taskflow.middleware import Middleware
from taskflow.retry import RetryPolicy
from taskflow.signature import Handler, Signature, read_signature

F = TypeVar("F", bound=Handler)
M = TypeVar("M", bound=Middleware)
DEFAULT_TIMEOUT = 300.0
DEFAULT_WINDOW = 3600.0
MAX_REMEMBERED = 14 * 86400.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic of one handler, with everything a worker must know to run it.

    `timeout` and `window` in seconds; `window` is how long a finished event is remembered, 0
    for a handler that is not idempotent. `concurrency`: runs at once in a process; `rate`: starts
    per second in all processes; None for no limit. `raw`: the whole body is the payload.
    `filter_policy` (JSON text) chooses what the topic sends to the queue; it looks at
    `filter_scope`.
    """

    topic: str
    queue: str
    handler: Handler
    name: str
    policy: RetryPolicy
    timeout: float | None
    window: float
    visibility_timeout: float
    concurrency: int | None
    rate: float | None
    signature: Signature
    raw: bool = False
    filter_policy: str | None = None
    filter_scope: Scope = "MessageAttributes"

    max_attempts: int = field(init=False, compare=False)
    """The highest attempt number any rule of the policy lets run."""

    def __post_init__(self) -> None:
        rules = [rule.retries for rule in self.policy.rules.values() if rule is not None]
        object.__setattr__(self, "max_attempts", max([self.policy.retries, *rules]) + 1)


class Registry:
    """A collection of subscriptions; filled at import, read by workers."""

    def __init__(self) -> None:
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._by_queue: dict[str, dict[str, Subscription]] = {}
        self.middleware: list[Middleware] = []

    def subscribe(
        self,
        *topics: str,
        queue: str,
        retries: int | None = None,
        backoff: float | None = None,
        policy: RetryPolicy | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        idempotent: bool = True,
        window: float = DEFAULT_WINDOW,
        visibility_timeout: float = 30.0,
        concurrency: int | None = None,
        rate: str | float | None = None,
        raw: bool = False,
        filter: Mapping[str, Any] | None = None,
        filter_scope: Scope = "MessageAttributes",
        **unknown: Any,
    ) -> Callable[[F], F]:
        """Let a function handle events of `topics` that wait in `queue`; returns it unchanged.

        A queue whose name ends in `.fifo` handles the events of a group one after the other, in
        the order of publishing; its topics end in `.fifo` too.
        `retries` (3) and `backoff` (1.0 s, doubling, full jitter) are the short form of
        `policy`. `timeout`: seconds a run may take, None for no limit. `idempotent`: an event
        that the queue has finished is not handled again within `window` seconds.
        `visibility_timeout`: seconds until a crashed worker's message is visible again.
        `concurrency`: how many run at once in one process; `rate`: how many start, in all
        processes together ("100/s", "30/m", "1/h"). Both hold back the whole queue.
        `raw`: messages have no envelope of ours (an S3 event, another team's JSON); the payload is
        the whole body, as JSON, or as it is for `str` and `bytes`. A queue has one raw handler.
        `filter`: an SNS filter policy; the topics send only what matches. It looks at the
        attributes, or with `filter_scope="MessageBody"` at the envelope.
        Raises RegistrationError for whatever cannot be, saying how to mend it.
        """
        if unknown:
            raise RegistrationError(
                f"subscribe does not know {', '.join(map(repr, unknown))}; it knows queue, "
                "retries, backoff, policy, timeout, idempotent, window, visibility_timeout, "
                "concurrency, rate, raw, filter, filter_scope"
            )
        if not topics:
            raise RegistrationError("subscribe names no topic; example: 'order.created'")
        try:
            for topic in topics:
                check_topic(topic)
            check_queue(queue)
            check_seconds("visibility_timeout", visibility_timeout, 1, MAX_VISIBILITY)
        except BrokerError as error:
            raise RegistrationError(f"subscribe: {error}") from error
        if queue.removesuffix(FIFO_SUFFIX).endswith(DLQ_SUFFIX):
            raise RegistrationError(
                f"queue {queue!r}: names in {DLQ_SUFFIX} belong to dead-letter queues"
            )
        if len(dlq_of(queue)) > 80:
            raise RegistrationError(
                f"queue {queue!r} is too long by {len(dlq_of(queue)) - 80}: its dead-letter "
                f"queue is named {dlq_of(queue)}, and 80 characters are allowed"
            )
        for topic in topics:
            if is_fifo(queue) and not is_fifo(topic):
                raise RegistrationError(
                    f"queue {queue!r} is FIFO and topic {topic!r} is not, so there is no order to "
                    f"keep: publish to a topic {topic + FIFO_SUFFIX!r} with a group, or name the "
                    f"queue {queue.removesuffix(FIFO_SUFFIX)!r}"
                )
        if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
            raise RegistrationError(f"timeout is {timeout!r}; seconds above 0, or None")
        if not (isinstance(window, int | float) and 0 < window <= MAX_REMEMBERED):
            raise RegistrationError(
                f"window is {window!r}; seconds above 0, {MAX_REMEMBERED:g} at most "
                "(idempotent=False switches it off)"
            )
        if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
            raise RegistrationError(f"concurrency is {concurrency!r}; a whole number, 1 or more")
        chosen = _policy(retries, backoff, policy)
        per_second = None if rate is None else parse_rate(rate)
        filter_policy = _filter_policy(filter, filter_scope)

        def register(handler: F) -> F:
            signature = read_signature(handler, raw)
            name = _name(handler)
            for topic in topics:
                self._add(
                    Subscription(
                        topic,
                        queue,
                        handler,
                        name,
                        chosen,
                        timeout,
                        window if idempotent else 0.0,
                        visibility_timeout,
                        concurrency,
                        per_second,
                        signature,
                        raw,
                        filter_policy,
                        filter_scope,
                    )
                )
            return handler

        return register

    def use(self, middleware: M) -> M:
        """Let a middleware (`taskflow.middleware`) surround every handler of this registry;
        returns it unchanged. The first one is outermost."""
        if middleware not in self.middleware:
            self.middleware.append(middleware)
        return middleware

    def _add(self, new: Subscription) -> None:
        old = self._subscriptions.get((new.queue, new.topic))
        if old is not None and old.name != new.name:  # the same name: its module was reloaded
            if (file := _file(old.handler)) is not None and file == _file(new.handler):
                raise RegistrationError(
                    f"{file} was imported twice, as {_module(old)} and as {_module(new)}, and each "
                    f"subscribes its handlers to queue {new.queue!r}: import it by one name"
                )
            raise RegistrationError(
                f"queue {new.queue!r} has a handler for {new.topic!r} already: {old.name}; give "
                f"{new.name} a queue of its own, so that both receive every event"
            )
        for other in self.on(new.queue):
            if other.visibility_timeout != new.visibility_timeout:
                raise RegistrationError(
                    f"queue {new.queue!r} has one visibility_timeout: {other.name} says "
                    f"{other.visibility_timeout:g}, {new.name} says {new.visibility_timeout:g}"
                )
            if new.raw and other.raw and other.name != new.name:
                raise RegistrationError(
                    f"queue {new.queue!r} has a raw handler already: {other.name}; a body without "
                    f"an envelope does not say which topic it is of, so give {new.name} a queue "
                    "of its own"
                )
        self._subscriptions[new.queue, new.topic] = new
        self._by_queue.setdefault(new.queue, {})[new.topic] = new

    def find(self, queue: str, topic: str) -> Subscription | None:
        """Who handles this topic on this queue."""
        return self._subscriptions.get((queue, topic))

    def find_raw(self, queue: str) -> Subscription | None:
        """Who takes what has no envelope on this queue. Its topic is empty when the handler has
        several: nobody knows which."""
        found = [one for one in self.on(queue) if one.raw]
        return replace(found[0], topic="") if len(found) > 1 else next(iter(found), None)

    def on(self, queue: str) -> list[Subscription]:
        """All subscriptions of a queue."""
        return list(self._by_queue.get(queue, {}).values())

    def queues(self) -> list[str]:
        """All queues that have a handler, sorted."""
        return sorted(self._by_queue)

    def topics(self) -> list[str]:
        """All topics that have a handler, sorted."""
        return sorted({found.topic for found in self})

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._subscriptions.values())

    def __len__(self) -> int:
        return len(self._subscriptions)


def parse_rate(rate: str | float) -> float:
    """Starts per second, from "100/s", "30/m", "1/h", or a number per second."""
    text = str(rate)
    number, _, unit = text.partition("/")
    try:
        per_second = float(number) / {"s": 1, "m": 60, "h": 3600}[unit or "s"]
    except (ValueError, KeyError):
        per_second = 0.0
    if not 0 < per_second < float("inf"):
        raise RegistrationError(f"rate is {rate!r}; examples: '100/s', '30/m', '1/h'")
    return per_second


def _policy(retries: int | None, backoff: float | None, policy: RetryPolicy | None) -> RetryPolicy:
    if policy is not None:
        if retries is not None or backoff is not None:
            raise RegistrationError("give retries and backoff, or policy=RetryPolicy(…), not both")
        if not isinstance(policy, RetryPolicy):
            raise RegistrationError(f"policy is {policy!r}; a RetryPolicy, or leave it out")
        return policy
    short = {"retries": retries, "backoff": backoff}
    try:
        return RetryPolicy(**{name: value for name, value in short.items() if value is not None})  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise RegistrationError(f"subscribe: {error}") from error


def _filter_policy(policy: Mapping[str, Any] | None, scope: Scope) -> str | None:
    if scope not in ("MessageAttributes", "MessageBody"):
        raise RegistrationError(
            f"filter_scope is {scope!r}; 'MessageAttributes' or 'MessageBody' are allowed"
        )
    if policy is None:
        return None
    try:
        text = json.dumps(policy, sort_keys=True)
        parse_filter(text, scope)
    except (TypeError, ValueError, BrokerError) as error:
        raise RegistrationError(f"filter is {policy!r}: {error}") from error
    return text


def _name(handler: Handler) -> str:
    """`module.function`, or what the object calls itself."""
    while isinstance(handler, partial):
        handler = handler.func
    module = getattr(handler, "__module__", "")
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return re.sub(r"^__main__\.", "", f"{module}.{name}")


def _file(handler: Handler) -> str | None:
    """The file and line a function was written at."""
    code = getattr(inspect.unwrap(handler), "__code__", None)
    return None if code is None else f"{code.co_filename}, line {code.co_firstlineno},"


def _module(subscription: Subscription) -> str:
    return str(getattr(subscription.handler, "__module__", "?"))


default_registry = Registry()
subscribe = default_registry.subscribe
use = default_registry.use
