"""Subscriptions: which handler takes which topic on which queue. Collected at import."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, cast

from taskflow.broker.settings import Limit
from taskflow.engine import Engine, Tender
from taskflow.entry import Entry
from taskflow.entry_options import common_options, file_of, name_of
from taskflow.errors import BrokerError, RegistrationError
from taskflow.filters import Scope, parse_filter
from taskflow.limits import FIFO_SUFFIX, check_topic, is_fifo
from taskflow.middleware import Middleware
from taskflow.retry import RetryPolicy
from taskflow.sealing.codec import Codec, Convert, read_codec
from taskflow.signature import Handler, read_signature
from taskflow.subscription import Subscription

E = TypeVar("E", bound=Engine)
T = TypeVar("T", bound=Tender)
F = TypeVar("F", bound=Handler)
M = TypeVar("M", bound=Middleware)
CodecOption = tuple[Convert | None, Convert]
DEFAULT_TIMEOUT = 300.0
DEFAULT_WINDOW = 3600.0
EVERYBODYS = {"schedule": "taskflow.scheduling.scheduler"}
"""Records that every worker tends, whether or not its handlers' code knows of such: by their kind,
a module above this one, whose `join(registry)` gives it who does so."""


class Registry:
    """A collection of subscriptions; filled at import, read by workers.

    `codec`, a pair of functions over bytes (seal, unseal), seals what its events, tasks and
    workflows carry, on its way into a broker: payloads, arguments, results, errors, steps, signals.
    It may be set later, before the first of them: `default_registry.codec = (seal, unseal)`. Raises
    RegistrationError for what is no such pair."""

    def __init__(self, *, codec: CodecOption | None = None) -> None:
        self.codec = codec
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._by_queue: dict[str, dict[str, Entry]] = {}
        self.limits: dict[str, Limit] = {}
        """What holds for the slots of its entries, over all workers."""
        self._engines: dict[str, Engine] = {}
        self.engines: Sequence[Engine] = ()
        """Of the messages that are no events, in the order in which they are asked."""
        self._tenders: dict[str, Tender] = {}
        self.middleware: list[Middleware] = []
        self.modules: list[str] = []
        """What `taskflow worker` imports beside the modules that it is told of."""

    @property
    def codec(self) -> Codec | None:
        """What seals; None when nothing does."""
        return self._codec

    @codec.setter
    def codec(self, given: CodecOption | Codec | None) -> None:
        self._codec = given if given is None or isinstance(given, Codec) else read_codec(given)

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
        except BrokerError as error:
            raise RegistrationError(f"subscribe: {error}") from error
        common = common_options(
            "subscribe",
            queue=queue,
            retries=retries,
            backoff=backoff,
            policy=policy,
            timeout=timeout,
            window=window if idempotent else None,
            visibility_timeout=visibility_timeout,
            concurrency=concurrency,
            rate=rate,
        )
        for topic in topics:
            if is_fifo(queue) and not is_fifo(topic):
                raise RegistrationError(
                    f"queue {queue!r} is FIFO and topic {topic!r} is not, so there is no order to "
                    f"keep: publish to a topic {topic + FIFO_SUFFIX!r} with a group, or name the "
                    f"queue {queue.removesuffix(FIFO_SUFFIX)!r}"
                )
        filter_policy = _filter_policy(filter, filter_scope)

        def register(handler: F) -> F:
            signature = read_signature(handler, raw)
            name = name_of(handler)
            for topic in topics:
                self._add(
                    Subscription(
                        topic=topic,
                        **common,
                        handler=handler,
                        name=name,
                        is_async=signature.is_async,
                        signature=signature,
                        raw=raw,
                        filter_policy=filter_policy,
                        filter_scope=filter_scope,
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

    def engine(self, kind: str, make: Callable[[], E]) -> E:
        """The engine of a kind of message, made when it is first asked for."""
        found = self._engines.get(kind)
        if found is None:
            found = self._engines[kind] = make()
            self.engines = tuple(self._engines.values())
        return cast(E, found)

    def tender(self, kind: str, make: Callable[[], T]) -> T:
        """Who tends something that no message brings, made when it is first asked for."""
        found = self._tenders.get(kind)
        if found is None:
            found = self._tenders[kind] = make()
        return cast(T, found)

    @property
    def tenders(self) -> Sequence[Tender]:
        """All who do what is due by itself: the engines, and others."""
        if self.engines:  # a worker of events alone pays for their import when there are any
            for kind in EVERYBODYS:
                self.summon(kind)
        return (*self.engines, *self._tenders.values())

    def summon(self, kind: str) -> None:
        """Have somebody who tends these records of EVERYBODYS, since there are some."""
        _join(kind)(self)

    def enter(self, entry: Entry, key: str) -> None:
        """Let a queue's workers know an entry, under a key of its own within the queue: the one
        it had before is replaced. Raises RegistrationError when it does not go with the others."""
        for other in self.on(entry.queue):
            if other.visibility_timeout != entry.visibility_timeout:
                raise RegistrationError(
                    f"queue {entry.queue!r} has one visibility_timeout: {other.name} says "
                    f"{other.visibility_timeout:g}, {entry.name} says {entry.visibility_timeout:g}"
                )
        self._by_queue.setdefault(entry.queue, {})[key] = entry
        for name in entry.names:
            self.limits.pop(name, None)
            if entry.limit is not None:
                self.limits[name] = entry.limit

    def _add(self, new: Subscription) -> None:
        old = self._subscriptions.get((new.queue, new.topic))
        if old is not None and old.name != new.name:  # the same name: its module was reloaded
            file = file_of(old.handler)
            if file is not None and file == file_of(new.handler) and _called(old) == _called(new):
                raise RegistrationError(
                    f"{file} was imported twice, as {_module(old)} and as {_module(new)}, and each "
                    f"subscribes its handlers to queue {new.queue!r}: import it by one name"
                )
            raise RegistrationError(
                f"queue {new.queue!r} has a handler for {new.topic!r} already: {old.name}; give "
                f"{new.name} a queue of its own, so that both receive every event"
            )
        if new.raw:
            for other in self.subscriptions(new.queue):
                if other.raw and other.name != new.name:
                    raise RegistrationError(
                        f"queue {new.queue!r} has a raw handler already: {other.name}; a body "
                        "without an envelope does not say which topic it is of, so give "
                        f"{new.name} a queue of its own"
                    )
        self.enter(new, new.topic)
        self._subscriptions[new.queue, new.topic] = new

    def find(self, queue: str, topic: str) -> Subscription | None:
        """Who handles this topic on this queue."""
        return self._subscriptions.get((queue, topic))

    def find_raw(self, queue: str) -> Subscription | None:
        """Who takes what has no envelope on this queue. Its topic is empty when the handler has
        several: nobody knows which."""
        found = [one for one in self.subscriptions(queue) if one.raw]
        return replace(found[0], topic="") if len(found) > 1 else next(iter(found), None)

    def on(self, queue: str) -> list[Entry]:
        """All that this queue's messages are for."""
        return list(self._by_queue.get(queue, {}).values())

    def subscriptions(self, queue: str) -> list[Subscription]:
        """All subscriptions of a queue."""
        return [one for one in self.on(queue) if isinstance(one, Subscription)]

    def queues(self) -> list[str]:
        """All queues that have an entry, sorted."""
        return sorted(self._by_queue)

    def topics(self) -> list[str]:
        """All topics that have a handler, sorted."""
        return sorted({found.topic for found in self})

    def __iter__(self) -> Iterator[Subscription]:
        """All subscriptions."""
        return iter(self._subscriptions.values())

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)


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
    except RecursionError:
        raise RegistrationError("filter is nested too deep, or holds itself") from None
    return text


def _called(subscription: Subscription) -> str:
    return str(getattr(subscription.handler, "__qualname__", "?"))


def _module(subscription: Subscription) -> str:
    return str(getattr(subscription.handler, "__module__", "?"))


@cache
def _join(kind: str) -> Callable[[Registry], object]:
    """Gives a registry who tends these records."""
    return cast(Callable[[Registry], object], import_module(EVERYBODYS[kind]).join)


default_registry = Registry()
subscribe = default_registry.subscribe
use = default_registry.use
