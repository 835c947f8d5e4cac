"""What a simulation does most, done beside the database, which is written when somebody looks.

Ticks, runs and plain messages come and go within a moment of simulated time, and hardly any of them
is ever looked at in the database. So they are kept here, as what they would be there; a verb that
is not known here, or asks for anything unusual, finds all of it written. It is the short form of
what lies in `brokers.stored` and `stores`, and answers and stores the same.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, cast

from taskflow.broker.change import Applied, Change, Publish, Send
from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.broker.settings import Claim, Finish, Holding, Published, Sent
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Delivery, Message
from taskflow.stores.row import SPOKEN
from taskflow.stores.sqlite.put_away import PutAway
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.testing.simulation.kept_changes import LATEST, KeptChanges
from taskflow.testing.simulation.kept_keys import KeptKeys
from taskflow.testing.simulation.kept_messages import KeptMessages
from taskflow.testing.simulation.kept_records import KeptRecords, lives

Verb = Callable[..., Any]
_AS_THEY_ARE = {"wake", "watch", "attend", "look_away", "hurry", "received_at", "settings"}
_AS_THEY_ARE |= {"queues", "topics", "topic_settings", "subscriptions"}
"""They ask nothing that is kept here, and change nothing of it."""
_WITHIN = {"claim", "list_records", "upkeep"}
"""Those of the broker that are called here, with what they look at written before."""


class Foreground:
    """Stands before a broker in memory that seals nothing. Thread-safe; while a verb of the
    broker's own is under way, so are all others. (Who is in one may have the store's lock and ask
    for another: nobody who has the lock here waits for the store then.)"""

    def __init__(self, broker: StoredBroker) -> None:
        self._core = broker.core
        self._store = broker.store
        self._lock = threading.RLock()
        self._aside = 0
        self._moves = False
        self._latest = float("-inf")  # that the clock has shown
        self._general: dict[str, Verb] = {}
        look = self._store.look
        self._messages = KeptMessages(look, broker.receiver.draw)
        self._records, self._keys = KeptRecords(look), KeptKeys(look)
        self._changes = KeptChanges(
            self._records, self._keys, self._messages, self._core.fresh_version
        )

    def verb(self, name: str, general: Verb) -> Verb:
        """What stands for a verb of the broker."""
        if name in _AS_THEY_ARE:
            return general
        self._general[name] = general if name in _WITHIN else self._set_aside(name, general)
        return _SHORT[name].__get__(self) if name in _SHORT else self._general[name]

    def _set_aside(self, name: str, general: Verb) -> Verb:
        def call(*args: Any, **named: Any) -> Any:
            with self._lock:
                self.put_away()
                self._moves = self._moves or name == "start_move"
                self._aside += 1 + (name == "close")  # after which nothing is answered
            try:
                return general(*args, **named)
            finally:
                with self._lock:
                    self._aside -= 1

        return call

    # ---- the database -------------------------------------------------------------------------
    def put_away(self) -> None:
        """Write all that is kept here, and forget what is known."""
        with self._lock:
            records = self._records.put_away()
            messages = self._messages.put_away()
            self._write(
                messages._replace(
                    replaced=records.replaced,
                    new_records=records.new_records,
                    records=records.records,
                )
            )
            self._records.forget()
            self._keys.forget()

    def _now(self) -> float:
        """The time. When the clock was set back, the store says what is over, and what went since
        it was. The lock is held."""
        now = self._core.now()
        if now < self._latest:
            self.put_away()
        self._latest = now
        return now

    def _write(self, kept: PutAway) -> None:
        """And the keys with it."""
        taken, freed = self._keys.put_away()
        kept = kept._replace(keys=taken, freed=freed)
        if any(kept):
            self._store.transact(lambda rows: cast(SqliteRows, rows).kept.put_away(kept))

    # ---- messages -----------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message], **named: Any) -> Published:
        """As of a broker."""
        sent, names = (None, []) if named else self._send(Publish(topic, messages))
        if sent is None:
            return cast(Published, self._general["publish"](topic, messages, **named))
        self._core.waiters.announce(names)
        return Published(len(names), sent)

    def send(self, queue: str, messages: Sequence[Message], **named: Any) -> list[Sent]:
        """As of a broker."""
        sent, names = (None, []) if named else self._send(Send(queue, messages))
        if sent is None:
            return cast(list[Sent], self._general["send"](queue, messages, **named))
        self._core.waiters.announce(names)
        return sent

    def _send(self, send: Send | Publish) -> tuple[list[Sent] | None, list[str]]:
        with self._lock:
            found = None if self._aside else self._messages.destinations(send)
            if found is None:
                return None, []
            topic, queues = found
            sent = self._messages.add(topic, queues, send.messages, self._core.now())
            return sent, [one.name for one in queues]

    def receive(self, *queues: str, holding: Holding | None = None, **named: Any) -> list[Delivery]:
        """As of a broker."""
        lent: list[Delivery] | None = None
        if holding is not None and len(queues) == 1 and _is_one(named):
            with self._lock:
                queue = None if self._aside else self._messages.queue(queues[0])
                if queue is not None:
                    visibility, now = named.get("visibility"), self._core.now()
                    lent = self._messages.lend(queue, holding, visibility, now)
        if lent is None:
            lent = self._general["receive"](*queues, holding=holding, **named)
        return lent

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """As of a broker."""
        with self._lock:
            if not self._aside:
                now = self._now()
                known = [self._messages.is_finished(one, now) for one in deliveries]
                if None not in known:
                    return ["finished" if one else "free" for one in known]
                if any(known):
                    self.put_away()
        return cast(list[Claim], self._general["claim"](deliveries))

    def delete(self, entries: Sequence[Finish], **named: Any) -> list[bool]:
        """As of a broker."""
        with self._lock:
            if not self._aside and not named and len(entries) == 1:
                (one,) = entries
                if (found := self._messages.held(one.delivery)) is not None:
                    self._core.settle((one.delivery,))
                    self._messages.finish(found, one, self._core.now())
                    return [True]
        return cast(list[bool], self._general["delete"](entries, **named))

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], **named: Any
    ) -> list[bool]:
        """As of a broker."""
        entries = list(entries)
        if not named and self._hide(entries, SPOKEN):
            return [True]
        return cast(list[bool], self._general["change_visibility"](entries, **named))

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """As of a broker."""
        if self._hide(entries, 0):
            return [True]
        return cast(list[bool], self._general["extend"](entries))

    def _hide(self, entries: Sequence[tuple[Delivery, float]], spoken: int) -> bool:
        """Hide one message anew, if it is here."""
        if len(entries) != 1:
            return False
        ((delivery, seconds),) = entries
        with self._lock:
            now = self._core.now()
            found = None if self._aside else self._messages.held(delivery)
            if found is None or found.visible_at <= now or not 0 <= seconds < LATEST:
                return False
            self._core.settle((delivery,))
            found.hide(now + seconds, spoken)
            delivery.visible_at = now + seconds
        self._core.waiters.announce([delivery.queue])
        return True

    def first_due(self, queue: str) -> float | None:
        """When the first message of a queue becomes visible, or has."""
        with self._lock:
            found = None if self._aside else self._messages.queue(queue)
            if found is not None:
                return found.next_due(-LATEST)
        return cast(float | None, self._general["first_due"](queue))

    def next_due(self, *queues: str) -> float | None:
        """As of a broker."""
        if len(queues) == 1:
            with self._lock:
                found = None if self._aside else self._messages.queue(queues[0])
                if found is not None:
                    return found.next_due(self._core.now())
        return cast(float | None, self._general["next_due"](*queues))

    # ---- records and keys ---------------------------------------------------------------------
    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]:
        """As of a broker."""
        with self._lock:
            if not self._aside:
                now, found = self._now(), {}
                for key in keys:
                    record = self._records.find(kind, key, now).record
                    if record is not None and lives(record, now):
                        found[key] = record
                return found
        return cast(dict[str, Record], self._general["records"](kind, keys))

    def list_records(self, query: RecordQuery) -> RecordPage:
        """As of a broker."""
        kind = query.kind
        with self._lock:
            if not self._aside:
                now = self._now()
                if not (query.order == "due" and self._records.knows_due(kind)):
                    self._write(self._records.put_away(kind))
                page = self._records.list_due(query, now)
                if page is not None:
                    return page
                self._write(self._records.put_away(kind))
        return cast(RecordPage, self._general["list_records"](query))

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """As of a broker."""
        with self._lock:
            now = self._now()
            may = None if self._aside else self._keys.may_take(name, holder, now)
            if may is not None:
                if may:
                    self._keys.take(name, holder, now + seconds)
                return may
        return cast(bool, self._general["hold"](name, holder, seconds))

    def apply(self, changes: Sequence[Change], durable: bool = True, **named: Any) -> list[Applied]:
        """As of a broker."""
        answers: list[Applied] | None = None
        if not named:
            rings: set[str] = set()
            with self._lock:
                now = self._now()
                ready = None if self._aside else self._changes.prepare(changes, now)
                if ready is not None:
                    if self._core.unfinished:
                        self._core.settle(
                            each.delivery for one in changes for each in one.settlements
                        )
                    answers = [self._changes.make(one, now, rings) for one in ready]
            if answers is not None:
                self._core.waiters.announce(rings)
        if answers is None:
            answers = self._general["apply"](changes, durable, **named)
        return answers

    def upkeep(self, limit: int = 1000) -> bool:
        """As of a broker."""
        with self._lock:
            if not self._aside:
                now = self._now()
                if self._moves or self._messages.hold_old(now):
                    self.put_away()
                self._records.expire(now)
                self._messages.expire(now)
                self._write(self._records.put_away(rewritten=True))
                self._keys.tidy()
        return cast(bool, self._general["upkeep"](limit))


_SHORT: dict[str, Callable[..., Any]] = {
    name: getattr(Foreground, name)
    for name in (
        *("publish", "send", "receive", "claim", "delete", "change_visibility", "extend"),
        *("first_due", "next_due", "records", "list_records", "hold", "apply", "upkeep"),
    )
}


def _is_one(named: dict[str, Any]) -> bool:
    """Whether these parameters of a receive ask for one message that is there."""
    return named.get("limit", 1) == 1 and not named.get("wait") and named.get("attempt") is None
