"""What follows the end of a run in its plan: the next one, its group, or the end of all of it."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Free, Put, Remove, Send
from taskflow.message import Message
from taskflow.tasks.canvas.links import Link, Up
from taskflow.tasks.durable import STEP
from taskflow.tasks.preparing import end_run, message_id
from taskflow.tasks.run import FINAL, RUN, Row, Run, RunError, State, load
from taskflow.tasks.task_body import run_body, task_body

SWEEP = "sweep"
"""The kind of the records that say when the parts of a plan go; the key is its root, or names an
old life (`sweep_life`)."""
LIFE = "\nlife"
"""What the keys of such end in: no run's id has two lines."""
CANCELS = "taskflow-cancels"
"""The header that tells a compensation whose it is."""


class Following:
    """Puts together what the end of one run brings about, as parts of one change."""

    def __init__(self, broker: Broker, now: float) -> None:
        self._broker = broker
        self._now = now
        self.records: list[Put] = []
        self.keys: list[Free] = []
        self.counters: list[Add] = []
        self.sends: list[Send] = []

    def end(self, row: Row, run: Run, state: State) -> None:
        """The run ends so, and what hangs on it goes on, or ends too."""
        place = run.place
        put, freed = end_run(row.id, row.version, run, state, self._now)
        self.keys += freed
        if state == "cancelled":
            self.sends += compensation(row)
        if place is None:
            self.records.append(put)
            return
        if row.id == place.root:
            self._end_plan(row.id, run, state)
        else:  # its parts go together, when the plan does
            put = msgspec.structs.replace(put, expires_at=None)
        self.records.append(put)
        if state == "done":
            if place.next is not None:
                self._start(place.next)
            elif place.up is not None:
                self._count_down(place.up, failed=False)
        elif place.tail is not None:
            self._fail_tail(place.tail, run, state)
        elif place.up is not None:
            self._count_down(place.up, failed=True)

    def change(self) -> Change:
        """All of it."""
        return Change(
            keys=self.keys, records=self.records, counters=self.counters, sends=self.sends
        )

    def _fail_tail(self, tail: str, run: Run, state: State) -> None:
        """The rest of a chain does not run; what stands for the chain says why."""
        row = load(self._broker, [tail]).get(tail)
        if row is None or row.state in FINAL:
            return
        error = run.error or RunError(type="", message=f"{run.task} was {state}")
        ended: State = "failed" if state == "failed" else "cancelled"
        self.end(row, msgspec.structs.replace(row.run, error=error), ended)

    def _count_down(self, up: Up, failed: bool) -> None:
        wake = _wake(up.group, up.generation)
        kind, key = (RUN, up.group.id) if up.counts is None else (STEP, up.counts)
        self.counters.append(Add(kind, key, -1, [wake]))
        if failed and up.stops:
            self.sends.append(wake)
        elif up.starts is not None:
            self._start(up.starts)

    def _start(self, link: Link) -> None:
        self.sends.append(Send(link.queue, [_message(link, 1)]))

    def _end_plan(self, root: str, run: Run, state: State) -> None:
        keep = run.keep_failed if state == "failed" else run.keep
        self.records.append(Put(kind=SWEEP, key=root, value="{}", due_at=self._now + keep))
        call = None if run.place is None else run.place.on_error
        if call is not None and state != "done":
            error = run.error or RunError(type="", message=f"the plan was {state}")
            told = {"run": root, "state": state, "error": error.type, "message": error.message}
            args = bytes(call.args)
            if not call.immutable:
                rest = args.lstrip()[1:].lstrip()
                args = b"[%s%s%s" % (_write(told), b"" if rest == b"]" else b",", rest)
            id = f"{root}.error"
            body = task_body(call.task, args, bytes(call.kwargs))
            self.sends.append(Send(call.queue, [Message(id, body, trace=run.trace)]))


def kept_parts(row: Row) -> list[Remove]:
    """What keeps the parts of a plan that lives again from going."""
    root = None if row.run.place is None else row.run.place.root
    return [Remove(SWEEP, row.id)] if root == row.id else []


def sweep_life(label: str, at: float) -> Put:
    """What lets the steps of one life of a run (`life_of`) go from then on, with their children."""
    return Put(kind=SWEEP, key=label + LIFE, value="{}", due_at=at)


def compensation(row: Row) -> list[Send]:
    """What is called since a run that had begun is cancelled, with the arguments that it had."""
    durable = row.run.durable
    if durable is None or durable.on_cancel is None:
        return []
    (task, queue), run = durable.on_cancel, row.run
    body = task_body(task, bytes(run.args), bytes(run.kwargs))
    return [
        Send(queue, [Message(f"{row.id}~cancel", body, headers={CANCELS: row.id}, trace=run.trace)])
    ]


def starts(links: Sequence[Link]) -> list[Send]:
    """The messages that start these runs."""
    by_queue: dict[str, list[Message]] = {}
    for link in links:
        by_queue.setdefault(link.queue, []).append(_message(link, 1))
    return [Send(queue, messages) for queue, messages in by_queue.items()]


_write = msgspec.json.Encoder().encode


@lru_cache(64)
def _wake(group: Link, generation: int) -> Send:
    """The message by which a group ends: the same for each of its members."""
    return Send(group.queue, [_message(group, generation)])


def _message(link: Link, generation: int) -> Message:
    id = message_id(link.id, generation)
    return Message(
        id,
        run_body(link.id, generation),
        delay=link.delay if generation == 1 and link.delay else None,
        run=link.id,
        priority=link.priority,
    )
