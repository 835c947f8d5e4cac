"""The whole broker at one moment, as every page begins with it; looked at once a second at most,
and less often where that takes long."""

import re
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from taskflow import forking
from taskflow.broker import Broker, QueueCounts, WorkerReport
from taskflow.broker.history import MINUTE
from taskflow.broker.settings import MoveTask, QueueSettings, TopicSubscription
from taskflow.dashboard.queue_view import QueueView
from taskflow.errors import BrokerError
from taskflow.limits import DLQ_SUFFIX, FIFO_SUFFIX
from taskflow.scheduling.schedule import Schedule
from taskflow.scheduling.schedules import schedules
from taskflow.tasks.run import RUN
from taskflow.tasks.workflow_names import noted_workflows

FRESH, LONGEST = 1.0, 30.0  # seconds that a survey is good for, at least and at most
SHARE = 0.1
"""As much of the time as looking takes: counting what millions of messages wait takes a while."""
LOST = 30.0  # seconds without a report after which a worker is lost
SPAN = 300.0  # seconds that rates are the mean of
EVERY = 10.0  # seconds between two of the looks that are kept for rates
MOST_SCHEDULES = 1000
MANY = 8
"""Queues that differ in their number alone, from which on they are a group of their own."""

_NUMBER = re.compile(r"[-_]?\d+$")
_WORDS = re.compile(r"[-_.]")


class Survey(NamedTuple):
    """`queues` are those that are no dead-letter queues, by name; `dlqs` says whose a dead-letter
    queue is. `workers` are all that reported within five minutes, `lost` those that do not any
    more. `workflows`: how many runs are in each state, by workflow."""

    at: float
    queues: Mapping[str, QueueView]
    dlqs: Mapping[str, Sequence[str]]
    settings: Mapping[str, QueueSettings]
    subscriptions: Sequence[TopicSubscription]
    workers: Sequence[WorkerReport]
    schedules: Sequence[Schedule]
    workflows: Mapping[str, Mapping[str, int]]
    moves: Sequence[MoveTask]

    @property
    def letters(self) -> int:
        """How many dead letters there are."""
        return sum(one.letters for one in self.queues.values())

    @property
    def lost(self) -> list[WorkerReport]:
        """Workers that have not signed off, nor reported of late."""
        return [one for one in self.workers if self.at - one.seen_at > LOST]

    @property
    def groups(self) -> dict[str, list[QueueView]]:
        """The queues by group, sorted; those that have none in the end."""
        found: dict[str, list[QueueView]] = {}
        for one in self.queues.values():
            found.setdefault(one.group, []).append(one)
        return dict(sorted(found.items(), key=lambda item: (not item[0], item[0])))

    def total(self, rate: str) -> float | None:
        """All `incoming` or `outgoing` together; None while they are not known."""
        known = [value for one in self.queues.values() if (value := getattr(one, rate)) is not None]
        return sum(known) if known else None

    def failed_runs(self) -> int:
        """How many runs of workflows stand still as failed."""
        return sum(states.get("failed", 0) for states in self.workflows.values())

    def is_late(self, one: Schedule) -> bool:
        """Whether a schedule should have fired a minute ago, or cannot be fired."""
        if one.state == "unreadable" or one.failed:
            return True
        return one.state == "active" and one.due_at is not None and self.at - one.due_at > 60.0


class Surveyor:
    """Looks at a broker for all pages. Thread-safe; a look that is a second old, or ten times as
    old as it took, is taken again, by one thread, and who comes meanwhile waits for it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._last: Survey | None = None
        self._stale = False
        self._fresh = FRESH
        self._wrote = 0.0
        self._looks: deque[tuple[float, Mapping[str, QueueCounts]]] = deque()

    def look(self) -> Survey:
        """The broker now, or a second ago. Raises BrokerUnavailable."""
        with self._lock:
            now = self._broker.clock.now()
            if self._stale or self._last is None or not 0 <= now - self._last.at < self._fresh:
                began = self._broker.clock.elapsed()
                self._last, self._stale = self._take(now), False
                took = self._broker.clock.elapsed() - began
                self._fresh = min(max(FRESH, took / SHARE), LONGEST)
            return self._last

    @property
    def last(self) -> Survey | None:
        """The last look, however old; asks nobody."""
        return self._last

    def forget(self) -> None:
        """What was changed just now is seen at the next look."""
        with self._lock:
            self._stale = True

    def _take(self, now: float) -> Survey:
        broker = self._broker
        there = broker.survey()
        counts = {name: one.counts for name, one in there.items()}
        settings = {name: one.settings for name, one in there.items()}
        subscriptions = broker.subscriptions()
        dlqs = _dead_letter_queues(settings, subscriptions)
        features = broker.features
        if features.runs:
            self._write_history(now)
        workers = broker.workers(10 * LOST) if features.coordination else []
        found: dict[str, Mapping[str, int]] = {}
        if features.runs:
            found = {name: broker.count_records(RUN, name) for name in noted_workflows(broker)}
        return Survey(
            now,
            self._views(now, counts, settings, dlqs, workers),
            dlqs,
            settings,
            subscriptions,
            workers,
            schedules.list(limit=MOST_SCHEDULES, broker=broker).schedules if features.runs else [],
            found,
            _moves(broker),
        )

    def _write_history(self, now: float) -> None:
        """Of all who look and work one writes it, once a minute; it may be this one."""
        if 0 <= now - self._wrote < MINUTE:
            return
        self._wrote = now
        with suppress(BrokerError):  # a page that cannot write is a page all the same
            self._broker.note_history()

    def _views(
        self,
        now: float,
        counts: Mapping[str, QueueCounts],
        settings: Mapping[str, QueueSettings],
        dlqs: Mapping[str, Sequence[str]],
        workers: Sequence[WorkerReport],
    ) -> dict[str, QueueView]:
        before = self._remember(now, counts)
        names = [name for name in counts if name not in dlqs]
        groups = _group(names)
        at_work = Counter(
            queue for one in workers if now - one.seen_at <= LOST for queue in one.queues
        )
        counted: set[str] = set()
        views = {}
        for name in names:
            dlq = settings[name].dead_letter_queue
            letters = 0
            if (
                dlq is not None and dlq in counts and dlq not in counted
            ):  # one of several queues counts with the first
                counted.add(dlq)
                letters = counts[dlq].visible + counts[dlq].in_flight + counts[dlq].delayed
            incoming, outgoing = _rates(now, counts[name], before, name)
            views[name] = QueueView(
                name, groups[name], counts[name], dlq, letters, at_work[name], incoming, outgoing
            )
        return views

    def _remember(
        self, now: float, counts: Mapping[str, QueueCounts]
    ) -> tuple[float, Mapping[str, QueueCounts]] | None:
        """Keep this look for later rates; the one that rates are measured from now."""
        looks = self._looks
        if looks and now < looks[-1][0]:
            looks.clear()  # the clock was set back
        while len(looks) > 1 and now - looks[1][0] >= SPAN:
            looks.popleft()
        before = looks[0] if looks and now - looks[0][0] >= FRESH else None
        if not looks or now - looks[-1][0] >= EVERY:
            looks.append((now, counts))
        return before


def _rates(
    now: float,
    counts: QueueCounts,
    before: tuple[float, Mapping[str, QueueCounts]] | None,
    name: str,
) -> tuple[float | None, float | None]:
    """What came in and went out a second; None while it is not known. A queue that was deleted and
    made again counts from 0."""
    if before is None or name not in before[1] or counts.handled < before[1][name].handled:
        return None, None
    then, span = before[1][name], now - before[0]
    left = [one.handled + one.dead_lettered + one.expired for one in (then, counts)]
    held = [one.visible + one.in_flight + one.delayed for one in (then, counts)]
    came = left[1] - left[0] + held[1] - held[0]
    return max(0.0, came / span), (counts.handled - then.handled) / span


def _dead_letter_queues(
    settings: Mapping[str, QueueSettings], subscriptions: Sequence[TopicSubscription]
) -> dict[str, list[str]]:
    """The queues that each dead-letter queue is of."""
    found: dict[str, list[str]] = {}
    for name, one in settings.items():
        if one.dead_letter_queue is not None and one.dead_letter_queue in settings:
            found.setdefault(one.dead_letter_queue, []).append(name)
    for subscription in subscriptions:
        dlq = subscription.dead_letter_queue
        if dlq is not None and dlq in settings:
            found.setdefault(dlq, [])
    for name in settings:
        plain = name.removesuffix(FIFO_SUFFIX)
        owner = plain.removesuffix(DLQ_SUFFIX) + name.removeprefix(plain)
        if plain.endswith(DLQ_SUFFIX) and owner in settings:
            found.setdefault(name, [owner])
    return found


def _group(names: Sequence[str]) -> dict[str, str]:
    """The group of each queue: what stands before its number where others differ in that alone,
    else its first word; "" for one that would be alone."""
    plain = {name: name.removesuffix(FIFO_SUFFIX) for name in names}
    stems = {name: _NUMBER.sub("", text) for name, text in plain.items()}
    numbered = Counter(stems.values())
    found = {
        name: stem if numbered[stem] >= MANY else _WORDS.split(plain[name])[0]
        for name, stem in stems.items()
    }
    sizes = Counter(found.values())
    return {name: group if sizes[group] > 1 else "" for name, group in found.items()}


def _moves(broker: Broker) -> list[MoveTask]:
    if not broker.features.moves:
        return []
    with suppress(BrokerError):
        return broker.moves()
    return []
