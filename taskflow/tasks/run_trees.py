"""Runs as trees of records: a root with its descendants, their steps, signals, keys, messages."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.broker.record import Record, RecordQuery
from taskflow.broker.tree_handover import Asked, Seen
from taskflow.brokers.copying.trees import MOST_RECORDS, MOST_TEXT, Found
from taskflow.errors import DecodeError, QueueNotFound
from taskflow.tasks.canvas.early_rows import EARLY
from taskflow.tasks.canvas.following import LIFE, SWEEP
from taskflow.tasks.durable import SIGNAL, STEP, life_of
from taskflow.tasks.preparing import message_id
from taskflow.tasks.progress import PROGRESS
from taskflow.tasks.run import RUN, Row, row_of

PAGE = 200  # of values that may be a mebibyte each
PARTS = (RUN, STEP, SIGNAL)
OLD_LIVES = 100
"""Lives of a run whose steps may be waiting to be removed: each is, soon after it is over."""


class RunTrees:
    """As `brokers.copying.trees.Trees`: named after the root's task. A run that nothing hangs on is
    a tree too, and so is one that has ended and is kept."""

    def find(self, source: Broker, queues: Collection[str] | None) -> Iterator[Found]:
        """All roots, with what belongs to them."""
        reading, after = _Reading(source, queues), ""
        while True:
            query = RecordQuery(kind=RUN, order="oldest", limit=PAGE, after=after or None)
            page = source.list_records(query)
            roots = [one for one in page.records if one.parent is None]
            sweeps = source.records(SWEEP, [one.key for one in roots]) if roots else {}
            said = source.records(PROGRESS, [one.key for one in roots]) if roots else {}
            for root in roots:
                if (found := reading.tree(root, sweeps, said)) is not None:
                    yield found
            if page.next is None:
                return
            after = page.next


class _Reading:
    """Reads one tree after the other."""

    def __init__(self, source: Broker, queues: Collection[str] | None) -> None:
        self._source = source
        self._queues = queues
        self._letters: dict[str, str | None] = {}
        self._others: list[str] | None = None

    def tree(
        self, root: Record, sweeps: Mapping[str, Record], said: Mapping[str, Record]
    ) -> Found | None:
        """One tree, or why it stays; None for one of other queues."""
        name = root.label or root.kind
        records, runs = list[Record](), list[Row]()
        text = 0
        for record in self._records(root):
            records.append(record)
            text += len(record.value)
            if len(records) > MOST_RECORDS or text > MOST_TEXT:
                return Found(name, None, "too_large")
            if record.kind != RUN:
                continue
            try:
                row = row_of(record)
            except DecodeError:
                return Found(name, None, "unreadable")
            if self._queues is not None and row.run.queue not in ("", *self._queues):
                return None
            runs.append(row)
        goes = sweeps.get(root.key)
        if any(row.state == "running" for row in runs) or (goes and goes.value == EARLY):
            return Found(name, None)
        records += [one for one in (goes, said.get(root.key)) if one is not None]
        records += self._beside(runs)
        return Found(
            name,
            Asked(
                root=root.key,
                seen=[Seen(one.kind, one.key, one.version, one.count) for one in records],
                parts=PARTS if _has_parts(runs[0]) else (),
                keys=[(row.run.key, row.id) for row in runs if row.run.key is not None],
                messages=self._messages(runs),
                beside=[(SWEEP, root.key)],
            ),
            text=text,
        )

    def _records(self, root: Record) -> Iterator[Record]:
        """The root and all whose parent it is."""
        yield root
        try:
            if not _has_parts(row_of(root)):
                return
        except DecodeError:
            return
        for kind in PARTS:
            after = ""
            while True:
                query = RecordQuery(
                    kind=kind, parent=root.key, order="oldest", limit=PAGE, after=after or None
                )
                page = self._source.list_records(query)
                yield from page.records
                if page.next is None:
                    break
                after = page.next

    def _beside(self, runs: Sequence[Row]) -> Iterator[Record]:
        """What is kept of them under other names: how far the descendants are, and which steps of
        earlier lives are to go."""
        descendants = [row.id for row in runs[1:]]
        if descendants:
            yield from self._source.records(PROGRESS, descendants).values()
        old = list[str]()
        for row in runs:
            durable = row.run.durable
            if durable is not None:
                for life in range(max(0, durable.life - OLD_LIVES), durable.life):
                    before = msgspec.structs.replace(durable, life=life)
                    old.append(life_of(row.id, before) + LIFE)
        if old:
            yield from self._source.records(SWEEP, old).values()

    def _messages(self, runs: Sequence[Row]) -> list[tuple[str, Sequence[str]]]:
        """What their messages may be called: those of earlier generations may be about, and of the
        next one, which is sent ahead. Dead letters are looked for first: one that is redriven
        meanwhile is found where it came to."""
        ids = dict[str, list[str]]()
        for row in runs:
            some = [message_id(row.id, at) for at in range(1, row.run.generation + 2)]
            own = (self._letters_of(row.run.queue), row.run.queue)
            others = self._filled() if row.state == "failed" else []
            for queue in (*(name for name in others if name not in own), *own):
                if queue:
                    ids.setdefault(queue, []).extend(some)
        return list(ids.items())

    def _filled(self) -> list[str]:
        """The queues that have messages: a dead letter stays where it is when its queue is given
        another one for such."""
        if self._others is None:
            counts = {name: one.counts for name, one in self._source.survey(self._queues).items()}
            self._others = [
                name for name, one in counts.items() if one.visible or one.delayed or one.in_flight
            ]
        return self._others

    def _letters_of(self, queue: str) -> str | None:
        """The dead-letter queue of a queue."""
        if queue and queue not in self._letters:
            try:
                self._letters[queue] = self._source.settings(queue).dead_letter_queue
            except QueueNotFound:
                self._letters[queue] = None
        return self._letters.get(queue)


def _has_parts(root: Row) -> bool:
    """Whether there may be more of it: whatever adds to a run makes it such a one first."""
    return root.run.place is not None or root.run.durable is not None
