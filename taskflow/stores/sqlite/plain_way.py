"""A plain publish to one standard queue, from the payload to the commit, past the layers between.

It is the short form of what lies in several rooms, and stores the same: `publisher.publish` and
`event.Event.message` make the message, `brokers.stored` finds the queue, `insertion` adds the row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import apsw

from taskflow import payload as json
from taskflow.clock import rfc3339
from taskflow.errors import FileReplaced
from taskflow.event import DEFAULT_SOURCE, Event, trace_child
from taskflow.limits import check_message
from taskflow.message import NO_ATTRIBUTES, new_id
from taskflow.stores.row import QueueRow
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.database import Database
from taskflow.stores.sqlite.durability import Durability
from taskflow.stores.sqlite.plain_events import write_plain
from taskflow.stores.sqlite.shared_commit import CLOSED, SharedCommit
from taskflow.stores.sqlite.translation import translate
from taskflow.text import holds_simple
from taskflow.uninterrupted import uninterrupted

# Without a queue, when it is declared anew since, the row is refused.
_PUBLISH = (
    "INSERT INTO arrival VALUES (max(?3, ifnull((SELECT max(seq) FROM arrival), "
    "ifnull((SELECT max(seq) FROM body), 0)) + 1), "
    "(SELECT ?2 FROM topology WHERE stamp = ?1), ?4, ?5, ?6, ?7, ?8)"
)
_IS_THERE = """
SELECT 1 FROM arrival WHERE queue = ?1 AND id = ?2
UNION ALL SELECT 1 FROM message WHERE queue = ?1 AND id = ?2"""


class _Declined(Exception):
    """What the transaction was to store it cannot."""


@dataclass(slots=True)
class _Plan:
    """How events of a topic are stored, as long as `stamp` is that of the declarations."""

    epoch: int | None
    """By which whoever learned it had chosen this file: the stamp changes with that."""
    stamp: int
    queue: int
    delay: float
    most: int
    between: str
    """What stands between the id and the time in each of its envelopes."""
    announced: Sequence[str]


class SqlitePlainWay:
    """`PlainWay` over one SQLite file. Thread-safe."""

    def __init__(
        self,
        database: Database,
        durability: Durability,
        sync: Callable[[], None],
        *,
        now: Callable[[], float],
        random: Random,
        tidies_next: Callable[[], bool],
        count: Callable[[], None],
        announce: Callable[[Sequence[str]], None],
        heard: Callable[[Sequence[str]], None],
        reaches: Callable[[Sequence[str]], bool],
        transact: Callable[..., None],
        epoch: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`sync` is called as after any other commit that is to last; `reaches` is as
        `Notifier.reaches`, and `transact` the store's. Of one of several files, `reaches` tells
        those who listen beside them all, and `epoch` is by what this thread chooses one."""
        self._database = database
        self._reading, self._writing = database.reading, database.writing
        self._haste = database.haste
        self._durability = durability
        self._store: Callable[[Sequence[str], Sequence[Any]], bool] = self._store_alone
        if durability.durable:  # else a wait for others costs as much as it saves
            self._shared = SharedCommit(database, durability, self._prepare, self._insert)
            self._store = self._store_together
        self._sync = sync
        self._now = now
        self._random = random
        self._tidies_next = tidies_next
        self._count = count
        self._announce = announce
        self._heard = heard
        self._reaches = reaches
        self._transact = transact
        self._epoch = epoch
        self._silent: object = None  # the sight of a folder in which nobody could hear
        self.plans: dict[str, _Plan] = {}
        """By topic: of others it takes nothing."""
        self._connection: apsw.Connection | None = None  # whose `_execute` is
        self._execute: Callable[[str, Sequence[Any]], Any]

    @uninterrupted
    def learn(self, topic: str, alone: QueueRow | None) -> None:
        self.plans.pop(topic, None)
        if alone is None:
            return
        self._reading.run(partial(self._plan, topic, alone))

    def _plan(self, topic: str, alone: QueueRow) -> None:
        stamp = self._reading.rows.stamp_of(alone)
        if stamp is None:
            return
        if self._connection is not self._database.connection:
            self.plans.clear()
            self._connection = None
        between = f'","source":"{DEFAULT_SOURCE}","type":"{topic}","time":"'
        delay, most = alone.settings.delay, alone.settings.max_message_bytes
        self.plans[topic] = _Plan(
            self._epoch(), stamp, alone.id, delay, most, between, [alone.name]
        )

    def _prepare(self) -> None:
        """Once for each connection. The lock is held."""
        connection = self._database.connection
        if self._connection is not connection:
            self._execute = connection.cursor().execute
            self._connection = connection

    def _store_alone(self, queues: Sequence[str], values: Sequence[Any]) -> bool:
        """Where no disk is waited for: written out, and the folder is looked at once, after the
        commit. If it is as it was, the file still has its name, and nobody new can hear."""
        reading = self._reading
        if not reading.is_open():
            return False
        database = self._database
        with reading.lock:
            if not self._writing.is_clear():
                return False
            try:
                self._prepare()
                self._execute(_PUBLISH, values)
            except (apsw.ConstraintError, *CLOSED):  # as for `_insert`
                return False
            except apsw.Error as error:
                raise translate(error, database.path) from error
            file, generation = database.file, self._durability.generation
            if generation:
                self._durability.count_commit()
        if file is not None:
            sight = file.look()
            if sight is None:
                if self._was_replaced(generation) and not self._is_there(values):
                    return False  # nobody was answered: into the new file with it
                sight = object()
            if sight is not self._silent and not self._reaches(queues):
                self._silent = sight
        self._count()
        self._heard(queues)
        return True

    def _was_replaced(self, generation: int) -> bool:
        """Whether what was committed in this generation of the file is gone. (Else that was only
        closed, as before a fork, and its WAL is another.)"""
        try:
            self._database.check()
        except FileReplaced:
            return True
        return self._durability.generation != generation

    def _store_together(self, queues: Sequence[str], values: Sequence[Any]) -> bool:
        if not self._shared.store(values):
            return False
        self._count()
        self._announce(queues)
        try:
            self._sync()
        except FileReplaced:  # as above
            return self._is_there(values)
        return True

    def _is_there(self, values: Sequence[Any]) -> bool:
        """Whether the file that is open now has the message: if only its WAL was taken away, by
        another SQLite in this process, that may have played it in before."""
        found = self._reading.run(partial(self._find, values))
        if found:
            self._durability.wait()
        return found

    def _find(self, values: Sequence[Any]) -> bool:
        found = self._database.connection.execute(_IS_THERE, (values[1], values[5])).fetchone()
        if found is not None:
            self._durability.adopt_commit(self._durability.generation)
        return found is not None

    def _insert(self, values: Sequence[Any]) -> bool:
        """The lock is held, and it is prepared."""
        try:
            self._execute(_PUBLISH, values)
        except (apsw.ConstraintError, *CLOSED):  # declared anew since
            return False
        return True

    @uninterrupted
    def publish(
        self,
        topic: str,
        payload: Any,
        most: int,
        id: str | None = None,
        epoch: int | None = None,
    ) -> str | None:
        """As `TakesPublishes`; under an id that is given, by whoever chose this file by `epoch`."""
        plan = self.plans.get(topic)
        if plan is None or plan.epoch != epoch or type(topic) is not str:
            return None
        written = json.encode(payload)
        data = written.decode()
        if self._tidies_next():
            return None
        now, random = self._now(), self._random
        if id is None:
            id = new_id(now, random)
        body = (
            f'{{"specversion":"1.0","id":"{id}{plan.between}{rfc3339(now)}","traceparent":"'
            f'{trace_child(None, random)}","data":{data}}}'
        )
        if holds_simple(written):  # as all the rest is
            size = len(body)
        else:
            body = json.carried(body)
            size = check_message(body, NO_ATTRIBUTES, most)
        if size > most or size > plan.most:
            return None
        seq, due = int(now * 1e6), now + plan.delay
        values = (plan.stamp, plan.queue, seq, due, now, id, topic, body)
        if self._haste.on or not self._store(plan.announced, values):
            return None
        return id

    @uninterrupted
    def publish_many(self, topic: str, events: Sequence[Event[Any]], most: int) -> bool:
        plan = self.plans.get(topic)
        if plan is None or type(topic) is not str or self._haste.on or self._tidies_next():
            return False
        written = write_plain(topic, events, min(most, plan.most))
        if written is None:
            return False
        ids, bodies = written

        def store(_: Rows) -> None:
            rows = self._writing.rows
            if rows.stamp() != plan.stamp:
                raise _Declined
            now = self._now()
            if not rows.add_plain(plan.queue, topic, ids, bodies, now + plan.delay, now):
                raise _Declined

        try:
            self._transact(store, durable=True, committed=lambda _: self._announce(plan.announced))
        except _Declined:
            return False
        self._count()
        return True
