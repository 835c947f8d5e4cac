"""What was: how queues looked, and who did what; kept as records, over any broker that has them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Protocol

import msgspec

from taskflow.broker.action import KEPT_FOR, Action, ActionPage, ActionQuery
from taskflow.broker.change import Applied, Change, Put, Remove
from taskflow.broker.features import Features
from taskflow.broker.history import EVERYTHING, KEPT, MINUTE, QUARTER, Point, Span
from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.broker.settings import Surveyed, WorkerReport
from taskflow.brokers.recent_waits import RecentWaits
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded
from taskflow.message import new_id
from taskflow.telemetry.spread import added, bound, number_within

ACTION, HISTORY = "action", "history"
"""Kinds of records."""
MOST_ACTIONS = 10_000
AT_ONCE = 500  # queues of one record; actions that are dropped in one step
LONGEST = 200  # characters of each part of an action
HELD = 1.5 * MINUTE
REPORTED = 1.5 * MINUTE
"""Seconds within which a worker's report counts."""
MOST_RELEASES = 8


class Sample(msgspec.Struct, array_like=True):
    """A queue as it was seen. `handled`, `died` and `expired` are its totals so far; `half` and
    `most` are numbers of `spread`."""

    visible: int
    in_flight: int
    delayed: int
    dead: int
    age: float
    handled: int
    died: int
    expired: int
    half: int | None = None
    most: int | None = None
    releases: Sequence[str] = ()
    due_age: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not any(msgspec.structs.astuple(self)[:8]) and self.half is None


class _Broker(Protocol):
    """What of a broker a journal needs."""

    clock: Clock
    random: Random

    @property
    def features(self) -> Features: ...
    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]: ...
    def workers(self, within: float = ...) -> list[WorkerReport]: ...
    def hold(self, name: str, holder: str, seconds: float) -> bool: ...
    def apply(self, changes: Sequence[Change], durable: bool = True) -> list[Applied]: ...
    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]: ...
    def list_records(self, query: RecordQuery) -> RecordPage: ...
    def count_records(self, kind: str, label: str | None = None) -> dict[str, int]: ...


_write = msgspec.json.Encoder().encode
_read_samples = msgspec.json.Decoder(dict[str, Sample]).decode
_read_action = msgspec.json.Decoder(Action).decode


class Journal:
    """Thread-safe. A record of all queues for each minute, and for each quarter of an hour: one
    write, whatever the number of queues, and they expire by themselves."""

    def __init__(self, broker: _Broker) -> None:
        self._broker = broker
        self._me: str | None = None
        self._noted = 0.0
        self._waited = {"hour": RecentWaits(), "days": RecentWaits()}

    # ---- history ------------------------------------------------------------------------------
    def history(self, span: Span = "hour", queues: Collection[str] = ()) -> dict[str, list[Point]]:
        """What queues looked like."""
        if span not in KEPT:
            raise LimitExceeded(f"span is {span!r}; allowed are {', '.join(KEPT)}")
        wanted, after = set(queues), None
        seen: dict[float, dict[str, Sample]] = {}
        while True:
            query = RecordQuery(kind=HISTORY, label=span, order="oldest", after=after, limit=1000)
            page = self._broker.list_records(query)
            for record in page.records:
                at = float(record.key.split("/")[1])
                samples = _read_samples(record.value)
                if wanted:
                    samples = {name: one for name, one in samples.items() if name in wanted}
                seen.setdefault(at, {}).update(samples)
            after = page.next
            if after is None:
                return _points(seen)

    def note_history(self) -> bool:
        """Write down how all queues look now."""
        broker = self._broker
        now = broker.clock.now()
        minute, quarter = now // MINUTE * MINUTE, now // QUARTER * QUARTER
        if minute == self._noted or not broker.hold(HISTORY, self._id(), HELD):
            return False
        self._noted = minute
        spans: list[tuple[Span, float]] = [("hour", minute), ("days", quarter)]
        there = broker.records(HISTORY, [f"{span}/{at:.0f}/0" for span, at in spans])
        missing = [(span, at) for span, at in spans if f"{span}/{at:.0f}/0" not in there]
        if missing:
            workers = broker.workers(REPORTED) if broker.features.coordination else []
            seen = self._samples()
            puts = [
                put
                for span, at in missing
                for put in _puts(span, at, self._with_waits(span, seen, workers), now)
            ]
            broker.apply([Change(records=puts)], False)
            self._trim()
        return bool(missing)

    def _id(self) -> str:
        if self._me is None:
            self._me = new_id(self._broker.clock.now(), self._broker.random)
        return self._me

    def _samples(self) -> dict[str, Sample]:
        there = self._broker.survey()
        found = {}
        for name, (settings, one, _) in there.items():
            dead = there.get(settings.dead_letter_queue or "")
            held = dead.counts.visible + dead.counts.in_flight + dead.counts.delayed if dead else 0
            sample = Sample(
                *(one.visible, one.in_flight, one.delayed, held),
                round(one.oldest_age_seconds, 1),
                *(one.handled, one.dead_lettered, one.expired),
                due_age=round(one.due_age_seconds, 1),
            )
            found[name] = sample
        return found

    def _with_waits(
        self, span: Span, seen: Mapping[str, Sample], workers: Sequence[WorkerReport]
    ) -> dict[str, Sample]:
        """Those of the samples that say something, with how long messages waited."""
        waits = self._waited[span].since(workers)
        nothing = Sample(0, 0, 0, 0, 0.0, 0, 0, 0)
        whole = msgspec.structs.replace(
            nothing,
            releases=sorted({one.release for one in workers if one.release})[:MOST_RELEASES],
        )
        found = {EVERYTHING: _waited(whole, added(waits.values()))}
        found |= {name: _waited(one, waits.get(name, {})) for name, one in seen.items()}
        return {name: one for name, one in found.items() if one.releases or not one.is_empty}

    # ---- actions ------------------------------------------------------------------------------
    def note_action(self, action: Action) -> str:
        """Add to the record of who did what."""
        broker = self._broker
        now = broker.clock.now()
        id = new_id(now, broker.random)
        texts = {
            name: _line(value)
            for name, value in msgspec.structs.asdict(action).items()
            if isinstance(value, str)
        }
        texts |= {"who": texts["who"] or "unknown", "did": texts["did"] or "change"}
        noted = msgspec.structs.replace(action, **{**texts, "id": id, "at": now})
        put = Put(
            kind=ACTION,
            key=id,
            value=_write(noted).decode(),
            expected=0,
            parent=noted.queue,
            label=noted.who,
            state=noted.did,
            expires_at=now + KEPT_FOR,
        )
        (made,) = broker.apply([Change(records=[put])])
        if made.refused is not None:
            raise made.refused
        return id

    def list_actions(self, query: ActionQuery = ActionQuery()) -> ActionPage:  # noqa: B008 - frozen
        """Who did what."""
        page = self._broker.list_records(
            RecordQuery(
                kind=ACTION,
                parent=query.queue,
                label=query.who,
                states=() if query.did is None else [query.did],
                created_from=query.at_from,
                created_before=query.at_before,
                after=query.after,
                limit=query.limit,
            )
        )
        return ActionPage([_read_action(record.value) for record in page.records], page.next)

    def _trim(self) -> None:
        """Let the oldest actions go that are too many."""
        broker = self._broker
        over = sum(broker.count_records(ACTION).values()) - MOST_ACTIONS
        if over > 0:
            oldest = RecordQuery(kind=ACTION, order="oldest", limit=min(over, AT_ONCE))
            gone = [Remove(ACTION, one.key) for one in broker.list_records(oldest).records]
            broker.apply([Change(records=gone)], False)


def _waited(one: Sample, waits: Mapping[int, int]) -> Sample:
    half, most = (number_within(waits, part) for part in (0.5, 0.99))
    return msgspec.structs.replace(one, half=half, most=most)


def _puts(span: Span, at: float, samples: Mapping[str, Sample], now: float) -> Sequence[Put]:
    """The records of a point, each with as many queues as it may have."""
    left = iter(samples.items())
    parts = [dict(islice(left, AT_ONCE)) for _ in range(0, max(1, len(samples)), AT_ONCE)]
    return [
        Put(
            kind=HISTORY,
            key=f"{span}/{at:.0f}/{number}",
            value=_write(part).decode(),
            label=span,
            expires_at=now + KEPT[span],
        )
        for number, part in enumerate(parts)
    ]


def _points(seen: Mapping[float, Mapping[str, Sample]]) -> dict[str, list[Point]]:
    """Samples by time, as points by queue."""
    points: dict[str, list[Point]] = {}
    last: dict[str, Sample] = {}
    for at in sorted(seen):
        for name, one in seen[at].items():
            points.setdefault(name, []).append(_point(at, one, last.get(name)))
            last[name] = one
    return points


def _point(at: float, one: Sample, before: Sample | None) -> Point:
    state = (one.visible, one.in_flight, one.delayed, one.dead, one.age)
    half, most = (None if number is None else bound(number) for number in (one.half, one.most))
    waits = half, most, one.releases
    if before is None:
        return Point(at, *state, None, None, None, None, *waits, due_age=one.due_age)
    gone = (
        one.handled - before.handled,
        one.died - before.died,
        one.expired - before.expired,
    )
    if min(gone) < 0:
        return Point(at, *state, None, None, None, None, *waits, due_age=one.due_age)
    held = one.visible + one.in_flight + one.delayed
    held -= before.visible + before.in_flight + before.delayed
    return Point(at, *state, max(0, held + sum(gone)), *gone, *waits, due_age=one.due_age)


def _line(text: str) -> str | None:
    """What is printable of a text, on one line; None where nothing is."""
    shown = "".join(one if one.isprintable() else " " for one in text[:LONGEST]).strip()
    return shown or None
