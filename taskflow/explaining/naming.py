"""Explaining a name: what a topic, queue or task comes to, by code and, if asked, a broker."""

from collections.abc import Sequence

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import QueueCounts, TopicSubscription
from taskflow.entry import Entry
from taskflow.explaining.attempts import attempts_of
from taskflow.explaining.prices import handled, published, sent
from taskflow.explaining.shown import (
    Declared,
    HandlerShown,
    QueueShown,
    RouteShown,
    Shown,
    TaskShown,
    TopicShown,
)
from taskflow.explaining.spans import span
from taskflow.limits import is_fifo
from taskflow.registry import Registry
from taskflow.scheduling.stored import SCHEDULE
from taskflow.subscription import Subscription
from taskflow.tasks.task_entry import TaskEntry
from taskflow.text import shown_endpoint
from taskflow.topology import DEAD_LETTERS, all_settings


class Naming:
    """Looks names up in a registry and, unless it is None, a broker. Raises BrokerUnavailable when
    that cannot be used."""

    def __init__(self, registry: Registry, broker: Broker | None) -> None:
        self._registry = registry
        self._broker = broker
        self._wanted = all_settings(registry)
        self._topics = None if broker is None else set(broker.topics())
        self._queues = None if broker is None else set(broker.queues())
        self._subscriptions = () if broker is None else broker.subscriptions()
        coordinates = broker is not None and broker.features.coordination
        self._workers = broker.workers() if broker is not None and coordinates else None

    def explain(self, name: str) -> Sequence[Shown]:
        """All that has this name: a topic, a queue, a task (`send` is that of `shop.mail.send`, if
        there is one). Empty when nothing has."""
        found: list[Shown] = []
        if name in self._registry.topics() or name in (self._topics or ()):
            found.append(self._topic(name))
        if name in self._wanted or name in (self._queues or ()):
            found.append(self._queue(name, self._registry.on(name)))
        entries = [
            one
            for queue in self._registry.queues()
            for one in self._registry.on(queue)
            if isinstance(one, TaskEntry)
        ]
        exact = [one for one in entries if name in one.names]
        for task in sorted({one.name for one in exact or entries if _is_called(one, name)}):
            found.append(self._task(task, [one for one in entries if one.name == task]))
        return found

    # ---- topics -------------------------------------------------------------------------------
    def _topic(self, topic: str) -> TopicShown:
        wanted = {one.queue: one for one in self._registry if one.topic == topic}
        there = {one.endpoint: one for one in self._subscriptions if one.topic == topic}
        routes = [
            self._route(endpoint, wanted.get(endpoint), there.get(endpoint))
            for endpoint in sorted(wanted.keys() | there.keys())
        ]
        cost = published(topic)
        for route in routes:
            if route.queue is not None:
                cost = cost.plus(handled(route.queue.queue))
        return TopicShown(
            topic=topic,
            declared=_declared(topic in self._registry.topics(), self._topics, topic),
            routes=routes,
            cost=cost,
        )

    def _route(
        self, endpoint: str, wanted: Subscription | None, there: TopicSubscription | None
    ) -> RouteShown:
        """As the broker has it; what it has not, as code says."""
        said = there or wanted
        assert said is not None
        names = None if self._broker is None else {endpoint} if there is not None else set()
        protocol = "sqs" if there is None else there.protocol
        queue = None
        if protocol == "sqs":
            takes = [] if wanted is None else [wanted]
            queue = self._queue(endpoint, takes)
        return RouteShown(
            endpoint=shown_endpoint(endpoint),
            protocol=protocol,
            declared=_declared(wanted is not None, names, endpoint),
            filter=said.filter_policy,
            filter_scope=said.filter_scope,
            queue=queue,
        )

    # ---- queues -------------------------------------------------------------------------------
    def _queue(self, queue: str, entries: Sequence[Entry]) -> QueueShown:
        counts, letters = None, None
        settings = self._wanted.get(queue, QueueSettings())
        dead = settings.dead_letter_queue
        kept = None if dead is None else DEAD_LETTERS.retention
        if self._broker is not None and queue in (self._queues or ()):
            settings, counts = self._broker.settings(queue), self._broker.counts(queue)
            dead, kept = settings.dead_letter_queue, None
            if dead is not None and dead in (self._queues or ()):
                kept = self._broker.settings(dead).retention
                letters = _held(self._broker.counts(dead))
        workers = None
        if self._workers is not None:
            workers = sum(queue in one.queues for one in self._workers)
        return QueueShown(
            queue=queue,
            declared=_declared(queue in self._wanted, self._queues, queue),
            fifo=is_fifo(queue),
            visibility_timeout=settings.visibility_timeout,
            retention=settings.retention,
            max_receives=settings.max_receives,
            dead_letter_queue=dead,
            dead_letter_retention=kept,
            crash=_crash(settings),
            handlers=[
                _handler(one, [other for other in entries if other.name == one.name])
                for one in {one.name: one for one in entries}.values()
            ],
            topics=sorted({one.topic for one in self._registry if one.queue == queue}),
            waiting=None if counts is None else counts.visible + counts.delayed,
            in_flight=None if counts is None else counts.in_flight,
            letters=letters,
            paused=None if counts is None else counts.paused,
            workers=workers,
            cost=sent(queue).plus(handled(queue)),
        )

    # ---- tasks --------------------------------------------------------------------------------
    def _task(self, task: str, entries: Sequence[TaskEntry]) -> TaskShown:
        schedules: list[str] = []
        if self._broker is not None and self._broker.features.runs:
            query = RecordQuery(kind=SCHEDULE, label=task, limit=1000)
            schedules = [one.key for one in self._broker.list_records(query).records]
        queues = [self._queue(one.queue, [one]) for one in entries]
        return TaskShown(task=task, queues=queues, schedules=sorted(schedules))


def _is_called(entry: TaskEntry, name: str) -> bool:
    return any(one == name or one.endswith(f".{name}") for one in entry.names)


def _declared(in_code: bool, in_broker: set[str] | None, name: str) -> Declared:
    if in_broker is None:
        return "unknown"
    if name in in_broker:
        return "both" if in_code else "broker"
    return "code"


def _held(counts: QueueCounts) -> int:
    return counts.visible + counts.in_flight + counts.delayed


def _handler(entry: Entry, same: Sequence[Entry]) -> HandlerShown:
    found, policy = attempts_of(entry), entry.policy
    durable = isinstance(entry, TaskEntry) and entry.durable is not None
    return HandlerShown(
        handler=entry.name,
        kind="event" if isinstance(entry, Subscription) else "workflow" if durable else "task",
        topics=sorted(one.topic for one in same if isinstance(one, Subscription)),
        retries=len(found.attempts) - 1,
        timeout=entry.timeout,
        window=entry.window,
        attempts=found.attempts,
        waits=found.waits,
        worst_total=found.total,
        exceptions=[
            f"{kind.__qualname__}: {'not retried' if rule is None else f'{rule.retries} retries'}"
            for kind, rule in policy.rules.items()
        ],
    )


def _crash(settings: QueueSettings) -> str:
    lease = span(settings.visibility_timeout)
    again = f"the message is hidden until its lease ends, {lease} at most, and is received again"
    if settings.max_receives is None:
        return f"{again}, until it expires"
    receives = "once" if settings.max_receives == 1 else f"{settings.max_receives} times"
    return f"{again}; received {receives} and never finished, it goes to the dead letters"
