"""A call of a task as what has to be stored: its message, and its run if it needs one."""

from collections.abc import Sequence
from random import Random

import msgspec

from taskflow.broker.change import Change, Free, Put, Send, Take
from taskflow.errors import ConfigError, LimitExceeded
from taskflow.limits import MAX_RETENTION, is_fifo
from taskflow.message import Message, new_id
from taskflow.placing import place_of_call
from taskflow.tasks.call_options import NOTHING, Checked
from taskflow.tasks.durable import Durable
from taskflow.tasks.flow import Flow
from taskflow.tasks.run import NO_KWARGS, RUN, Row, Run, State, write_run
from taskflow.tasks.task_body import run_body, task_body
from taskflow.telemetry.tracing import carried_header

LONGEST_DELAY = 900.0
"""Seconds that a message may be delayed anywhere (one of a FIFO queue not at all); later than that,
its run waits without one."""
DEFAULT_KEEP = 3600.0
"""How long the run of a task without a result is kept after its end, when it has one."""
LONGEST_WAIT = MAX_RETENTION + 86400.0
"""Seconds after which the run of a schedule whose message is lost (purged) hinders no other."""
KEEP_FAILED = 14 * 86400.0
"""How long a failed run is kept: as long as its message may be in the dead-letter queue."""


class Target(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """A task as a caller knows it: its queues, the usual one first, and how long (seconds) what
    became of it is kept; 0 for not at all. `flow`: its limits. `defaults`: the options of its calls
    that are not said otherwise. `durable`: its runs may wait and go on."""

    name: str
    queues: Sequence[str]
    keep: float = 0.0
    keep_failed: float = 0.0
    flow: Flow | None = None
    defaults: Checked = NOTHING
    durable: bool = False

    @property
    def begins(self) -> Durable | None:
        """What a run of it keeps of that before it has begun: that it is such a one."""
        return Durable() if self.durable else None


def queue_of(target: Target, options: Checked) -> str:
    """Where a call goes. Raises ConfigError for a queue that the task has not."""
    queue = options.queue or target.queues[0]
    if queue not in target.queues:
        raise ConfigError(
            f"task {target.name} has no queue {queue!r}; its queues are "
            f"{', '.join(target.queues)}: a worker of another one would not know it"
        )
    return queue


class Prepared(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What a call stores. `message` is None for a run that is due later than a message may be."""

    id: str
    task: str
    queue: str
    message: Message | None
    put: Put | None
    take: Take | None

    def change(self) -> Change:
        """All of it, or nothing."""
        return Change(
            keys=[] if self.take is None else [self.take],
            records=[] if self.put is None else [self.put],
            sends=[] if self.message is None else [Send(self.queue, [self.message])],
        )


def prepare(
    target: Target,
    args: bytes,
    kwargs: bytes,
    options: Checked,
    now: float,
    random: Random,
    most: int,
    *,
    tick: float | None = None,
    lock: str | None = None,
    slot: str | None = None,
    first_at: float | None = None,
    place: int | None = None,
    trace: str | None = None,
) -> Prepared:
    """What one call stores; the arguments are JSON. `tick` is the time that a schedule planned it
    for, `lock` the key that it holds while it lives, as `change.Take` has it (it is taken for
    LONGEST_WAIT at most), `slot` as in Message. `first_at`: when the first of the calls was made
    that it stands for. `place` says where it lies (`taskflow.placing`) if it belongs to nothing
    else; `trace`: the span it belongs to, the current one if none. Raises ConfigError for a queue
    that the task has not, LimitExceeded for what is too large."""
    trace = trace or carried_header()
    queue = queue_of(target, options)
    keyed = options.key is not None or options.keyed
    key = key_of(target.name, options.key or "") if keyed else lock
    id = options.id or new_id(now, random, place_of_call(queue, key, slot, place))
    delay = options.delay if options.at is None else max(0.0, options.at - now)
    if options.debounce:
        first_at = now if first_at is None else first_at
        due = now + options.debounce
        if options.max_wait is not None:
            due = min(due, first_at + options.max_wait)
        delay = max(0.0, due - now)
    expires_at = options.expires_at
    if options.expires_in is not None:
        expires_at = now + options.expires_in
    keep = target.keep if options.keep is None else options.keep
    dedup = id if is_fifo(queue) else None
    later = delay > (LONGEST_DELAY if dedup is None else 0.0)
    if later and dedup is not None:
        _check_fifo(queue, options)
    if not (keep or keyed or later or lock):
        message = Message(
            id,
            task_body(target.name, args, kwargs, tick),
            delay=delay or None,
            group=options.group,
            deduplication_id=dedup,
            priority=options.priority,
            slot=slot,
            expires_at=expires_at,
            headers=options.headers,
            trace=trace,
            most=most,
        )
        return Prepared(id=id, task=target.name, queue=queue, message=message, put=None, take=None)
    until = now + LONGEST_WAIT if key == lock else None
    if options.throttle:
        keep, until = max(keep or DEFAULT_KEEP, options.throttle), now + options.throttle
    if (size := len(args) + len(kwargs)) > most:
        raise LimitExceeded(f"the arguments of {target.name} are {size} bytes; {most} are allowed")
    run = Run(
        task=target.name,
        queue=queue,
        args=msgspec.Raw(args),
        kwargs=NO_KWARGS if kwargs == b"{}" else msgspec.Raw(kwargs),
        keep=keep or DEFAULT_KEEP,
        keep_failed=options.keep_failed or target.keep_failed or max(keep, KEEP_FAILED),
        key=None if options.throttle else key,
        group=options.group,
        priority=options.priority,
        slot=slot,
        first_at=first_at,
        headers=options.headers,
        expires_at=expires_at,
        tick=tick,
        starts_at=now + delay if delay else None,
        trace=trace,
        durable=target.begins,
    )
    return Prepared(
        id=id,
        task=target.name,
        queue=queue,
        message=None if later else run_message(id, run, delay, most),
        put=put_run(
            id, run, "scheduled" if later else "waiting", 0, due_at=now + delay if later else None
        ),
        take=None if key is None else Take(key, id, until),
    )


def _check_fifo(queue: str, options: Checked) -> None:
    """Raise LimitExceeded for what a FIFO queue will not take when it is due."""
    if options.group is None:
        raise LimitExceeded(f"queue {queue!r} is FIFO: a message needs a group")
    if options.priority not in (None, "normal"):
        raise LimitExceeded(
            f"queue {queue!r} is FIFO, and a message of priority {options.priority!r} would "
            "overtake its group"
        )


def key_of(task: str, key: str) -> str:
    """The key of a change that stands for a task's unique key."""
    return f"task/{task}/{key}"


def run_message(id: str, run: Run, delay: float, most: int) -> Message:
    """The message of a run in its present generation: of each there is one."""
    return Message(
        message_id(id, run.generation),
        run_body(id, run.generation),
        delay=delay or None,
        group=run.group,
        priority=run.priority,
        slot=run.slot,
        deduplication_id=message_id(id, run.generation) if is_fifo(run.queue) else None,
        run=id,
        trace=run.trace,
        most=most,
    )


def message_id(id: str, generation: int) -> str:
    """The id of a run's message."""
    return id if generation == 1 else f"{id}~{generation}"


def put_run(
    id: str,
    run: Run,
    state: State,
    expected: int | None,
    *,
    due_at: float | None = None,
    expires_at: float | None = None,
    rings: bool = False,
) -> Put:
    """A run as the record to write."""
    root = None if run.place is None else run.place.root
    return Put(
        kind=RUN,
        key=id,
        value=write_run(run).decode(),
        expected=expected,
        parent=None if root == id else root,
        label=run.task,
        state=state,
        due_at=due_at,
        expires_at=expires_at,
        rings=rings,
    )


def end_run(
    id: str, version: int, run: Run, state: State, now: float
) -> tuple[Put, Sequence[Free]]:
    """A run that ends now: its record, and the key that is free again."""
    keep = run.keep_failed if state == "failed" else run.keep
    run = msgspec.structs.replace(run, finished_at=now)
    put = put_run(id, run, state, version, expires_at=now + keep, rings=True)
    return put, [] if run.key is None else [Free(run.key, id)]


def stop_run(row: Row, now: float) -> tuple[Put, Sequence[Free]]:
    """A run that nobody wants any more: one that runs is told to stop, any other one ends."""
    if row.state == "running":
        run = msgspec.structs.replace(row.run, stop=True)
        return put_run(row.id, run, "running", row.version), []
    return end_run(row.id, row.version, row.run, "cancelled", now)
