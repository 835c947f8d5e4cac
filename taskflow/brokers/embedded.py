"""SNS and SQS semantics, written once, over any store."""

import json
import random as _random
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from random import Random
from typing import TypeVar

import msgspec

from taskflow.broker import Finish, QueueCounts, QueueSettings
from taskflow.clock import Clock, SystemClock
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound, TopicNotFound
from taskflow.limits import MAX_VISIBILITY, check_queue, check_seconds, check_topic
from taskflow.message import FAILURE, NO_ATTRIBUTES, Delivery, Message
from taskflow.stores.base import Held, QueueRow, Row, Rows, Store

_attributes = msgspec.json.Decoder(dict[str, str]).decode
_STALE = Held(-1, -1)
_T = TypeVar("_T")


class EmbeddedBroker:
    """The broker inside the process, over a store. The contract is `taskflow.broker.Broker`."""

    def __init__(
        self, store: Store, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or _random.SystemRandom()
        self._store = store
        self._parked = threading.Condition()
        self._waiting = 0
        self._rings: dict[str, int] = defaultdict(int)

    # ---- declare ----------------------------------------------------------------------------
    def create_topic(self, name: str) -> None:
        check_topic(name)
        with self._store.read() as rows:
            if name in rows.topics():
                return
        with self._store.write() as rows:
            rows.add_topic(name)
        self._store.sync()

    def create_queue(self, name: str, settings: QueueSettings = QueueSettings()) -> None:  # noqa: B008
        check_queue(name)
        with self._store.read() as rows:
            if self._agrees(rows, name, settings):
                return
        with self._store.write() as rows:
            if not self._agrees(rows, name, settings):
                self._check_dead_letter_queue(rows, name, settings)
                rows.put_queue(name, settings)
        self._store.sync()

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        with self._store.write() as rows:
            _queue(rows, name)
            self._check_dead_letter_queue(rows, name, settings)
            rows.put_queue(name, settings)
        self._store.sync()

    @staticmethod
    def _agrees(rows: Rows, name: str, settings: QueueSettings) -> bool:
        """False when there is no such queue; raises when it differs."""
        found = rows.queue(name)
        if found is None:
            return False
        if found.settings != settings:
            differences = "; ".join(
                f"{field.name} is {getattr(found.settings, field.name)}, "
                f"declared as {getattr(settings, field.name)}"
                for field in fields(settings)
                if getattr(found.settings, field.name) != getattr(settings, field.name)
            )
            raise QueueExists(f"queue {name!r} exists with other attributes: {differences}")
        return True

    @staticmethod
    def _check_dead_letter_queue(rows: Rows, name: str, settings: QueueSettings) -> None:
        target = settings.dead_letter_queue
        if target == name:
            raise LimitExceeded(f"queue {name!r} cannot be its own dead-letter queue")
        if target is not None:
            _queue(rows, target)

    def subscribe(self, topic: str, queue: str) -> None:
        with self._store.read() as rows:
            if (topic, queue) in rows.subscriptions():
                return
        with self._store.write() as rows:
            if topic not in rows.topics():
                raise TopicNotFound(topic, rows.topics())
            rows.add_subscription(topic, _queue(rows, queue).id)
        self._store.sync()

    def topics(self) -> list[str]:
        with self._store.read() as rows:
            return rows.topics()

    def queues(self) -> list[str]:
        with self._store.read() as rows:
            return rows.queues()

    def subscriptions(self) -> list[tuple[str, str]]:
        with self._store.read() as rows:
            return rows.subscriptions()

    def settings(self, queue: str) -> QueueSettings:
        with self._store.read() as rows:
            return _queue(rows, queue).settings

    # ---- send -------------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        with self._store.write() as rows:
            queues = rows.subscribed(topic)
            if not queues and topic not in rows.topics():
                raise TopicNotFound(topic, rows.topics())
            self._add(rows, queues, topic, messages)
        self._announce([queue.name for queue in queues])
        self._store.sync()
        return len(queues)

    def send(self, queue: str, messages: Sequence[Message]) -> None:
        with self._store.write() as rows:
            self._add(rows, [_queue(rows, queue)], "", messages)
        self._announce([queue])
        self._store.sync()

    def _add(
        self, rows: Rows, queues: list[QueueRow], topic: str, messages: Sequence[Message]
    ) -> None:
        now = self.clock.now()
        for queue in queues:
            for message in messages:
                if message.delay >= queue.settings.retention:
                    raise LimitExceeded(
                        f"a delay of {message.delay:g} s passes the retention of queue "
                        f"{queue.name!r} ({queue.settings.retention:g} s): it would never be due"
                    )
            rows.add(queue, topic, messages, now)

    # ---- receive ----------------------------------------------------------------------------
    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[Delivery]:
        if not queues:
            raise LimitExceeded("receive names no queue; it needs one at least")
        if limit < 1:
            raise LimitExceeded(f"limit is {limit}; 1 or more is allowed")
        check_seconds("wait", wait, 0, float("inf"))
        if visibility is not None:
            check_seconds("visibility", visibility, 0, MAX_VISIBILITY)
        deadline = self.clock.now() + wait
        if wait:
            self._store.listen(self._heard)
        while True:
            rung = self._rung(queues)
            if taken := self._take(queues, limit, visibility):
                return taken
            if not self._park(queues, rung, deadline, stop):
                return []

    def _take(self, queues: Sequence[str], limit: int, visibility: float | None) -> list[Delivery]:
        now = self.clock.now()
        with self._store.read() as rows:  # an empty look costs no lock
            found = [_queue(rows, name) for name in queues]
            found = [queue for queue in found if rows.any_due(queue.id, now)]
        if not found:
            return []
        taken: list[Delivery] = []
        with self._store.write() as rows:
            now = self.clock.now()
            for queue in found:
                if len(taken) < limit:
                    taken += self._claim(rows, queue, limit - len(taken), visibility, now)
        return taken

    def _claim(
        self, rows: Rows, queue: QueueRow, limit: int, visibility: float | None, now: float
    ) -> list[Delivery]:
        """Take due rows; what is too old is dropped, what was received too often is moved."""
        settings = queue.settings
        until = now + (settings.visibility_timeout if visibility is None else visibility)
        receipt = self.random.getrandbits(62)
        taken: list[Row] = []
        while len(taken) < limit:
            due = rows.due(queue.id, now, limit - len(taken))
            expired = [row for row in due if row.sent_at + settings.retention <= now]
            rest = [row for row in due if row.sent_at + settings.retention > now]
            worn = [
                row
                for row in rest
                if settings.max_receives is not None and row.receive_count >= settings.max_receives
            ]
            if expired:
                rows.drop(queue.id, [row.seq for row in expired])
            if worn:
                self._bury(rows, queue, [(row, _worn_out(queue, row, now)) for row in worn], now)
                rest = [row for row in rest if row not in worn]
            if rest:
                rows.hold(queue.id, [row.seq for row in rest], receipt, until, now)
                taken += rest
            if not expired and not worn:
                break
        return [
            Delivery(
                row.id,
                row.topic,
                row.body,
                _attributes(row.attributes) if row.attributes != "{}" else NO_ATTRIBUTES,
                queue.name,
                f"{row.seq}.{receipt}",
                row.receive_count + 1,
                row.sent_at,
                now if row.first_received_at is None else row.first_received_at,
                until,
            )
            for row in taken
        ]

    # ---- wait and wake ----------------------------------------------------------------------
    def _rung(self, queues: Sequence[str]) -> int:
        with self._parked:
            return sum(self._rings[name] for name in queues)

    def _park(
        self,
        queues: Sequence[str],
        rung: int,
        deadline: float,
        stop: Callable[[], bool] | None,
    ) -> bool:
        """Wait for a ring, the next due time, or the deadline; False when it is time to give up.

        The ring count was read before the store was looked at, so nothing slips in between.
        """
        now = self.clock.now()
        if now >= deadline:
            return False
        until = deadline
        if (due := self.next_due(*queues)) is not None:
            until = min(until, due)
        if self._store.poll_interval is not None:
            until = min(until, now + self._store.poll_interval)
        with self._parked:
            if stop is not None and stop():
                return False
            if rung == sum(self._rings[name] for name in queues):
                self._waiting += 1
                try:
                    self.clock.wait(self._parked, max(0.0, until - now))
                finally:
                    self._waiting -= 1
            return stop is None or not stop()

    def _announce(self, queues: Collection[str]) -> None:
        self._heard(queues)
        self._store.ring(queues)

    def _heard(self, queues: Collection[str]) -> None:
        with self._parked:
            for name in queues:
                self._rings[name] += 1
            if self._waiting:
                self._parked.notify_all()

    def wake(self) -> None:
        with self._parked:
            self._parked.notify_all()

    # ---- settle -----------------------------------------------------------------------------
    def delete(self, entries: Sequence[Finish]) -> list[bool]:
        def delete(rows: Rows, queue: QueueRow, chosen: Sequence[Finish], now: float) -> list[bool]:
            gone = rows.remove(queue.id, [_held(entry.delivery) for entry in chosen])
            keys = [
                (entry.delivery.id, entry.delivery.topic, now + entry.remember)
                for entry, ok in zip(chosen, gone, strict=True)
                if ok and entry.remember
            ]
            if keys:
                rows.remember(queue.id, keys, now)
            rows.tally(queue.id, sum(gone), 0)
            return gone

        return self._settle(entries, lambda entry: entry.delivery.queue, delete)

    def change_visibility(self, entries: Iterable[tuple[Delivery, float]]) -> list[bool]:
        wanted = list(entries)
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))

        def hide(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, float]], now: float
        ) -> list[bool]:
            return rows.hide(
                queue.id,
                [(_held(delivery), now + seconds) for delivery, seconds in chosen],
                now,
            )

        answers = self._settle(wanted, lambda entry: entry[0].queue, hide)
        now = self.clock.now()
        for (delivery, seconds), ok in zip(wanted, answers, strict=True):
            if ok:
                delivery.visible_at = now + seconds
        # Parked receivers reckoned with the old time.
        self._announce({delivery.queue for delivery, _ in wanted})
        return answers

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        def release(
            rows: Rows, queue: QueueRow, chosen: Sequence[Delivery], now: float
        ) -> list[bool]:
            return rows.release(queue.id, [_held(delivery) for delivery in chosen], now)

        answers = self._settle(deliveries, lambda delivery: delivery.queue, release)
        self._announce({delivery.queue for delivery in deliveries})
        return answers

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        def bury(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, str]], now: float
        ) -> list[bool]:
            found = rows.find(queue.id, [_held(delivery) for delivery, _ in chosen])
            failed = [
                (row, failure)
                for row, (_, failure) in zip(found, chosen, strict=True)
                if row is not None
            ]
            self._bury(rows, queue, failed, now)
            return [row is not None for row in found]

        answers = self._settle(entries, lambda entry: entry[0].queue, bury)
        return answers

    def _settle(
        self,
        entries: Sequence[_T],
        queue_of: Callable[[_T], str],
        settle: Callable[[Rows, QueueRow, Sequence[_T], float], list[bool]],
    ) -> list[bool]:
        """One transaction, one call of `settle` per queue, answers in the order of entries."""
        by_queue: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            by_queue.setdefault(queue_of(entry), []).append(index)
        answers = [False] * len(entries)
        if not by_queue:
            return answers
        with self._store.write() as rows:
            now = self.clock.now()
            for name, indexes in by_queue.items():
                chosen = [entries[index] for index in indexes]
                settled = settle(rows, _queue(rows, name), chosen, now)
                for index, ok in zip(indexes, settled, strict=True):
                    answers[index] = ok
        return answers

    @staticmethod
    def _bury(rows: Rows, queue: QueueRow, failed: Sequence[tuple[Row, str]], now: float) -> None:
        """Move rows into the DLQ, each with its failure record."""
        target = queue.settings.dead_letter_queue
        if target is None:
            raise LimitExceeded(f"queue {queue.name!r} has no dead-letter queue")
        to = _queue(rows, target)
        for row, failure in failed:
            attributes = _attributes(row.attributes) | {FAILURE: failure}
            rows.move(queue.id, row, to.id, queue.id, json.dumps(attributes), now)
        rows.tally(queue.id, 0, len(failed))

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        with self._store.read() as rows:
            return rows.remembered(_queue(rows, queue).id, keys, self.clock.now())

    # ---- operate ----------------------------------------------------------------------------
    def counts(self, queue: str) -> QueueCounts:
        now = self.clock.now()
        with self._store.read() as rows:
            row = _queue(rows, queue)
            oldest = rows.counts(row.id, now)[3]
        if oldest is not None and oldest + row.settings.retention <= now:
            with self._store.write() as rows:
                rows.expire(row.id, now - row.settings.retention)
        with self._store.read() as rows:
            visible, in_flight, delayed, oldest, handled, dead = rows.counts(row.id, now)
        age = 0.0 if oldest is None else max(0.0, now - oldest)
        return QueueCounts(visible, in_flight, delayed, age, handled, dead)

    def next_due(self, *queues: str) -> float | None:
        now = self.clock.now()
        with self._store.read() as rows:
            times = [rows.next_due(_queue(rows, name).id, now) for name in queues]
        return min((time for time in times if time is not None), default=None)

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        now = self.clock.now()
        with self._store.read() as rows:
            row = _queue(rows, queue)
            found = rows.select(row.id, ids, limit)
        return [
            Delivery(
                one.id,
                one.topic,
                one.body,
                _attributes(one.attributes),
                queue,
                "",
                one.receive_count,
                one.sent_at,
                one.first_received_at or 0.0,
                one.visible_at,
            )
            for one in found
            if one.sent_at + row.settings.retention > now
        ]

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        woken: set[str] = set()
        moved = 0
        with self._store.write() as rows:
            now = self.clock.now()
            row = _queue(rows, queue)
            names = {found.id: found for found in map(rows.queue, rows.queues()) if found}
            for letter in rows.select(row.id, ids, limit):
                home = names.get(letter.source) if letter.source is not None else None
                if home is None:
                    continue
                attributes = _attributes(letter.attributes)
                attributes.pop(FAILURE, None)
                rows.move(row.id, letter, home.id, None, json.dumps(attributes), now)
                woken.add(home.name)
                moved += 1
        self._announce(woken)
        self._store.sync()
        return moved

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        with self._store.write() as rows:
            row = _queue(rows, queue)
            chosen = [found.seq for found in rows.select(row.id, ids, limit)]
            rows.drop(row.id, chosen)
        return len(chosen)

    def close(self) -> None:
        self._store.close()


def _queue(rows: Rows, name: str) -> QueueRow:
    found = rows.queue(name)
    if found is None:
        raise QueueNotFound(name, rows.queues())
    return found


def _held(delivery: Delivery) -> Held:
    """What a receipt says; a malformed one holds nothing."""
    seq, _, receipt = delivery.receipt.partition(".")
    try:
        return Held(int(seq), int(receipt))
    except ValueError:
        return _STALE


def _worn_out(queue: QueueRow, row: Row, now: float) -> str:
    return json.dumps(
        {
            "reason": f"received {row.receive_count} times and never finished: "
            "its worker was killed or lost its lease each time",
            "queue": queue.name,
            "topic": row.topic,
            "attempts": row.receive_count,
            "sent_at": row.sent_at,
            "first_received_at": row.first_received_at,
            "failed_at": now,
        }
    )
