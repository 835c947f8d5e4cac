"""Reading what waits with the types of the code that is here, without receiving it."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.errors import DecodeError, PayloadSealed
from taskflow.event import open_envelope, raw_event, to_event
from taskflow.message import Delivery
from taskflow.registry import Registry
from taskflow.subscription import Subscription
from taskflow.tasks.run import FINAL, RUN, STATES, Run, row_of
from taskflow.tasks.task_body import read_body
from taskflow.tasks.task_entry import TaskEntry
from taskflow.worker.execute import find_job

SLICE = 500
"""Records that are read at once."""


class Misfit(msgspec.Struct, frozen=True):
    """Messages that the code here refuses, for the same reason: `first` is the id of the oldest."""

    where: str
    payload: str
    why: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.count} in {self.where} for {self.payload}: {self.why} (first: {self.first})"


class Looked(msgspec.Struct, frozen=True):
    """How many of a queue, or of the runs that have not ended, were read, of how many there are
    (None: nobody counted); `sealed` of them could not be opened here, and say nothing."""

    where: str
    looked: int
    held: int | None
    sealed: int = 0

    def __str__(self) -> str:
        of = "" if self.held is None else f" of {self.held}"
        sealed = f", {self.sealed} sealed" if self.sealed else ""
        return f"{self.where}: looked at {self.looked}{of}{sealed}"


class Waiting(msgspec.Struct, frozen=True):
    """What was found."""

    misfits: Sequence[Misfit]
    looked: Sequence[Looked]


def read_waiting(broker: Broker, registry: Registry, limit: int) -> Waiting:
    """Read the oldest `limit` messages of each queue that has a handler here, and of the runs that
    have not ended as many, the oldest too. Raises BrokerUnavailable."""
    tally = _Tally()
    looked = []
    there = set(broker.queues())
    for queue in [one for one in registry.queues() if one in there]:
        counts = broker.counts(queue)
        found = broker.peek(queue, limit)
        sealed = sum(tally.add(f"queue {queue}", *_read(registry, queue, one)) for one in found)
        held = counts.visible + counts.in_flight + counts.delayed
        looked.append(Looked(f"queue {queue}", len(found), max(held, len(found)), sealed))
    if broker.features.runs:
        count = sealed = 0
        for id, run in _runs(broker, limit):
            count += 1
            sealed += tally.add("runs", id, f"task {run.task}", _misfit_of_run(registry, run))
        if count:
            by_state = broker.count_records(RUN)
            open_runs = sum(by_state.get(one, 0) for one in STATES if one not in FINAL)
            looked.append(Looked("runs", count, max(open_runs, count), sealed))
    return Waiting(tally.misfits(), looked)


class _Tally:
    """Counts what does not fit, by its reason."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._first: dict[tuple[str, str, str], str] = {}

    def add(self, where: str, id: str, payload: str, why: DecodeError | None) -> bool:
        """Whether it is sealed: then nobody knows."""
        if isinstance(why, PayloadSealed):
            return True
        if why is not None:
            key = (where, payload, str(why))
            self._counts[key] += 1
            self._first.setdefault(key, id)
        return False

    def misfits(self) -> Sequence[Misfit]:
        return [
            Misfit(where, payload, why, count, self._first[where, payload, why])
            for (where, payload, why), count in sorted(self._counts.items())
        ]


def _read(registry: Registry, queue: str, one: Delivery) -> tuple[str, str, DecodeError | None]:
    """Id and payload's name of a message, and why it does not fit: as a worker would see it."""
    job = find_job(one, registry)
    if job.engine is not None:
        return one.id, *_task_message(registry, queue, one)
    found = job.entry
    topic = one.topic or (found.topic if isinstance(found, Subscription) else "")
    name = f"event {topic or '?'}"
    if not isinstance(found, Subscription):
        return one.id, name, DecodeError("no handler of it is in the loaded modules")
    try:
        if found.raw:
            raw_event(one, topic, found.signature.decode)
        else:
            to_event(one, open_envelope(one), found.signature.decode)
    except DecodeError as error:
        return one.id, name, error
    except Exception as error:  # a type may raise anything when it is made
        return one.id, name, _refused(error)
    return one.id, name, None


def misfit_of(registry: Registry, queue: str, one: Delivery) -> DecodeError | None:
    """Why the handlers of a queue refuse a message; None for one that they take."""
    return _read(registry, queue, one)[2]


def _task_message(registry: Registry, queue: str, one: Delivery) -> tuple[str, DecodeError | None]:
    """A call without a run; those with one are read among the runs."""
    try:
        body = read_body(one)
    except DecodeError as error:
        return "task ?", error
    if body.task is None:
        return "task ?", None
    return f"task {body.task}", _misfit(registry, queue, body.task, body.args, body.kwargs)


def _misfit_of_run(registry: Registry, run: Run) -> DecodeError | None:
    if run.queue not in registry.queues():
        return None  # of another application
    if (place := run.place) is not None and (place.takes is not None or place.members is not None):
        return None  # its first argument is what comes before it in its plan; a group has none
    return _misfit(registry, run.queue, run.task, run.args, run.kwargs)


def _misfit(
    registry: Registry, queue: str, task: str, args: msgspec.Raw, kwargs: msgspec.Raw
) -> DecodeError | None:
    for entry in registry.on(queue):
        if isinstance(entry, TaskEntry) and task in entry.names:
            try:
                entry.parameters.decode(task, args, kwargs)
            except DecodeError as error:
                return error
            except Exception as error:  # a type may raise anything when it is made
                return _refused(error)
            return None
    return DecodeError("no task of this name is in the loaded modules")


def _refused(error: Exception) -> DecodeError:
    return DecodeError(f"its type refuses it: {type(error).__name__}")


def _runs(broker: Broker, limit: int) -> Iterator[tuple[str, Run]]:
    """Those that have not ended, a slice at a time."""
    states = [one for one in STATES if one not in FINAL]
    after, left = None, limit
    while left > 0:
        page = broker.list_records(
            RecordQuery(
                kind=RUN, states=states, order="oldest", after=after, limit=min(left, SLICE)
            )
        )
        for record in page.records:
            yield record.key, row_of(record).run
        left -= len(page.records)
        if (after := page.next) is None:
            return
