"""Explaining an id: where a message, run or schedule is, what happened to it, what happens next."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

import msgspec

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.shared_time import SharedTime
from taskflow.entry import Entry
from taskflow.errors import DecodeError, NoResult, QueueNotFound
from taskflow.explaining.attempts import attempts_of
from taskflow.explaining.spans import span
from taskflow.message import FAILURE, Delivery, plain_text
from taskflow.registry import Registry
from taskflow.scheduling.schedule import Schedule
from taskflow.scheduling.schedules import schedules
from taskflow.tasks.preparing import message_id
from taskflow.tasks.run import FINAL, Row, load, state_of
from taskflow.tasks.task_body import read_body
from taskflow.wire.failure_record import read_failure
from taskflow.worker.execute import find_job
from taskflow.workflows.tree import tree_of

NEXT_TICKS = 3
MOST_OF_ONE = 100
"""Messages of one id in a queue: of one for each topic, and on AWS of copies."""


class Moment(msgspec.Struct, frozen=True):
    """What happened or will, and when (epoch seconds); None where nobody knows when."""

    what: str
    at: float | None = None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Where something of this id is: a message in a `queue`, a run, a schedule, or what a queue
    remembers of a message that it finished."""

    kind: Literal["message", "run", "schedule", "finished"]
    id: str
    queue: str | None = None
    state: str
    happened: Sequence[Moment] = ()
    next: Sequence[Moment] = ()


class Whereabouts:
    """Asks a broker for ids; `registry` says who would handle them. Raises BrokerUnavailable.

    Every queue is asked. SQS shows what may be received now alone, and counts that look as a
    receive."""

    def __init__(self, registry: Registry, broker: Broker) -> None:
        self._registry = registry
        self._broker = broker
        self._queues = broker.queues()
        self._working = set[str]()
        if broker.features.coordination:
            self._working = {queue for one in broker.workers() for queue in one.queues}

    def find(self, id: str) -> Sequence[Sighting]:
        """Everything of this id; empty when there is nothing, or not any more."""
        found: list[Sighting] = []
        ids, row = [id], None
        if self._broker.features.runs:
            if (row := load(self._broker, [id]).get(id)) is not None:
                ids = list({id, message_id(id, row.run.generation)})
            if (schedule := schedules.get(id, broker=self._broker)) is not None:
                found.append(self._schedule(schedule))
        messages = [
            self._message(queue, one) for queue in self._queues for one in self._peek(queue, ids)
        ]
        found += messages
        if row is not None:
            found.insert(0, self._run(row, bool(messages)))
        return found or [*self._finished(id)]

    def _now(self) -> float:
        """The broker's time: on AWS a message is hidden until it has been looked at."""
        return (
            self._broker.now() if isinstance(self._broker, SharedTime) else self._broker.clock.now()
        )

    def _peek(self, queue: str, ids: Collection[str]) -> Sequence[Delivery]:
        try:
            return self._broker.peek(queue, MOST_OF_ONE, ids)
        except QueueNotFound:  # it went just now; AWS lists such for a minute
            return []

    # ---- messages -----------------------------------------------------------------------------
    def _message(self, queue: str, one: Delivery) -> Sighting:
        settings = self._broker.settings(queue)
        entries = self._entries(queue, one)
        happened = [Moment(f"sent{f' to {one.topic}' if one.topic else ''}", one.sent_at)]
        record = _failure(one)
        if record is not None:
            happened += _story_of(record)
        elif one.receive_count:
            times = f"{one.receive_count} times" if one.receive_count > 1 else "once"
            happened.append(Moment(f"received {times}, first", one.first_received_at))
        hidden = one.visible_at > self._now()
        state = "visible"
        if record is not None or one.source is not None:
            state = "dead letter"
        elif hidden:
            state = "in flight" if one.receive_count else "delayed"
        steps = [*self._steps(queue, one, state, entries, settings)]
        return Sighting(
            kind="message", id=one.id, queue=queue, state=state, happened=happened, next=steps
        )

    def _steps(
        self,
        queue: str,
        one: Delivery,
        state: str,
        entries: Sequence[Entry],
        settings: QueueSettings,
    ) -> Iterator[Moment]:
        expires = Moment(
            f"it is dropped, if nobody has ended it by then ({queue} keeps messages "
            f"for {span(settings.retention)})",
            one.sent_at + settings.retention,
        )
        if state == "dead letter":
            source = one.source or queue
            yield Moment(f"nothing, until somebody acts: `taskflow dlq redrive {source}`")
            yield expires
            return
        who = ", ".join(sorted({entry.name for entry in entries})) or "no handler that is loaded"
        if state == "delayed":
            yield Moment(f"it may be received, for {who}", one.visible_at)
        elif state == "in flight":
            attempts = max((len(attempts_of(entry).attempts) for entry in entries), default=None)
            of = "" if attempts is None else f" of {attempts}"
            yield Moment(
                f"attempt {one.receive_count}{of} runs, or waits for the next one: unless a worker "
                "extends its lease, it may be received again",
                one.visible_at,
            )
        elif self._broker.counts(queue).paused:
            yield Moment(f"nothing: {queue} is paused (`taskflow resume {queue}`)")
        elif queue in self._working:
            yield Moment(f"a worker of {queue} receives it, for {who}")
        else:
            yield Moment(f"nothing: no worker of {queue} has reported (`taskflow worker {queue}`)")
        if one.expires_at is not None:
            yield Moment("nobody wants it any more", one.expires_at)
        yield expires

    def _entries(self, queue: str, one: Delivery) -> Sequence[Entry]:
        """Who would handle it here."""
        job = find_job(one, self._registry)
        if job.engine is None:
            return [] if job.entry is None else [job.entry]
        try:
            body = read_body(one)
            name = body.task
            if body.run is not None and self._broker.features.runs:
                row = load(self._broker, [body.run]).get(body.run)
                name = None if row is None else row.run.task
        except DecodeError:
            return []
        return [entry for entry in self._registry.on(queue) if name in entry.names]

    def _finished(self, id: str) -> Iterator[Sighting]:
        """What queues remember of messages that were handled."""
        topics = self._broker.topics()
        for queue in self._queues:
            known = self._broker.finished(queue, [(id, topic) for topic in ("", *topics)])
            for _, topic in sorted(known):
                of = f" of {topic}" if topic else ""
                yield Sighting(
                    kind="finished",
                    id=id,
                    queue=queue,
                    state="finished",
                    happened=[Moment(f"{queue} finished the message{of}, and remembers it")],
                    next=[Moment("nothing: sent again, it is not handled again while remembered")],
                )

    # ---- runs ---------------------------------------------------------------------------------
    def _run(self, row: Row, has_message: bool) -> Sighting:
        run, state = row.run, state_of(row, self._now())
        happened = [Moment(f"{run.task} was called", row.created_at)]
        if run.tick is not None:
            happened.append(Moment("its schedule planned it for", run.tick))
        if run.started_at is not None:
            happened.append(Moment(f"attempt {max(1, run.attempts)} began", run.started_at))
        if run.finished_at is not None:
            why = "" if run.error is None else f" with {run.error.type}"
            at = f" at attempt {run.attempts}" if run.attempts else ""
            happened.append(Moment(f"it ended: {state}{why}{at}", run.finished_at))
        return Sighting(
            kind="run",
            id=row.id,
            queue=run.queue,
            state=state,
            happened=happened,
            next=[*self._run_steps(row, state, has_message)],
        )

    def _run_steps(self, row: Row, state: str, has_message: bool) -> Iterator[Moment]:
        run = row.run
        if state in FINAL:
            kept = run.keep if state == "done" else run.keep_failed
            ended = run.finished_at or row.created_at
            yield Moment("what is kept of it goes", ended + kept if kept else None)
            if state == "failed":
                yield Moment("nothing else, unless somebody redrives it (`taskflow dlq`)")
        elif state == "suspended" and run.durable is None and run.place is not None:
            yield Moment(f"it waits for what is before it in its plan ({run.place.root})")
        elif state == "suspended":
            latest = "" if row.due_at is None else ", at the latest"
            yield Moment(f"it goes on after {self._waits_for(row.id)}{latest}", row.due_at)
        elif row.state == "scheduled":
            yield Moment(f"its message is sent to {run.queue}", row.due_at or run.starts_at)
        elif has_message:
            yield Moment(f"its message in {run.queue} says more, below")
        elif self._broker.features.atomic:
            yield Moment(f"its message in {run.queue} is gone: it fails once somebody asks for it")
        else:
            yield Moment(
                f"its message in {run.queue} is in flight or delayed: SQS does not show it"
            )
        if run.expires_at is not None and state not in FINAL:
            yield Moment("nobody wants it any more, unless it has begun", run.expires_at)

    def _waits_for(self, run: str) -> str:
        try:
            waits = tree_of(self._broker, run).waits_for or "what it waits for"
            return waits.partition(" until ")[0]
        except NoResult:
            return "what it waits for"

    # ---- schedules ----------------------------------------------------------------------------
    def _schedule(self, schedule: Schedule) -> Sighting:
        what = schedule.task or f"an event of {schedule.topic}"
        happened = [
            Moment(
                f"fired {schedule.fired} times, skipped {schedule.skipped}, missed "
                f"{schedule.missed}; the last tick was",
                schedule.last_tick,
            )
        ]
        ticks = []
        if schedule.state == "active":
            ticks = [
                Moment(f"{what} is due", tick)
                for tick in schedules.next(schedule.name, NEXT_TICKS, broker=self._broker)
            ]
        return Sighting(
            kind="schedule",
            id=schedule.name,
            queue=schedule.queue,
            state=schedule.state,
            happened=happened,
            next=ticks or [Moment(f"nothing: it is {schedule.state}")],
        )


def _failure(one: Delivery) -> dict[str, Any] | None:
    text = one.attributes.get(FAILURE)
    if text is None:
        return None
    return read_failure(plain_text(text)) or {}


def _story_of(record: dict[str, Any]) -> Iterator[Moment]:
    """What a failure record says, without the text of the failure: values may be in it."""
    if isinstance(first := record.get("first_received_at"), int | float):
        yield Moment("first received", float(first))
    attempts, handler = record.get("attempts", "?"), record.get("handler", "nobody")
    error = f" with {record['error']}" if "error" in record else ""
    at = record.get("failed_at")
    yield Moment(
        f"dead after {attempts} attempts by {handler}{error}: {record.get('reason', 'no reason')}",
        float(at) if isinstance(at, int | float) else None,
    )
