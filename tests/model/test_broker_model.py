"""Any sequence of broker calls against a small model: nothing lost, never two holders, none back
after delete, counts add up."""

import random
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from taskflow.broker import Finish, QueueSettings
from taskflow.config import open_broker
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from tests.model.examples import TIMES

MAX_RECEIVES = 3
RETENTION = 3600.0
VISIBILITY = 30.0
QUEUES = ("a", "b")


class Entry:
    """One message of one queue, as the model sees it."""

    def __init__(self, id: str, sent_at: float, visible_at: float) -> None:
        self.id = id
        self.sent_at = sent_at
        self.visible_at = visible_at
        self.receives = 0
        self.receipt: str | None = None


class BrokerMachine(RuleBasedStateMachine):
    """Two queues under one topic, a DLQ each."""

    deliveries: Bundle[Delivery] = Bundle("deliveries")
    address = "memory://"

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock(1000.0)
        self.broker = open_broker(self.address, clock=self.clock, random=random.Random(1))
        self.broker.create_topic("t")
        for name in QUEUES:
            self.broker.create_queue(f"{name}-dlq", QueueSettings(retention=86400 * 14))
            self.broker.create_queue(
                name,
                QueueSettings(
                    VISIBILITY,
                    retention=RETENTION,
                    dead_letter_queue=f"{name}-dlq",
                    max_receives=MAX_RECEIVES,
                ),
            )
            self.broker.subscribe("t", name)
        self.live: dict[str, dict[str, Entry]] = {name: {} for name in QUEUES}
        self.dead: dict[str, set[str]] = {name: set() for name in QUEUES}
        self.deleted: dict[str, set[str]] = {name: set() for name in QUEUES}
        self.sent = 0

    def _expire(self) -> None:
        now = self.clock.now()
        for entries in self.live.values():
            for id in [id for id, entry in entries.items() if entry.sent_at + RETENTION <= now]:
                del entries[id]

    @rule(count=st.integers(1, 3), delay=st.sampled_from([0.0, 0.0, 5.0, 100.0]))
    def publish(self, count: int, delay: float) -> None:
        ids = [f"m{self.sent + number}" for number in range(count)]
        self.sent += count
        self.broker.publish("t", [Message(id, f"body {id}", delay=delay) for id in ids])
        now = self.clock.now()
        for entries in self.live.values():
            for id in ids:
                entries[id] = Entry(id, now, now + delay)

    @rule(number=st.integers(0, 30))
    def publish_again(self, number: int) -> None:
        """A repeated publish adds a message only where none is held."""
        self._expire()
        if number >= self.sent:
            return
        id = f"m{number}"
        self.broker.publish("t", [Message(id, f"body {id}")])
        now = self.clock.now()
        for name, entries in self.live.items():
            if id not in entries:
                entries[id] = Entry(id, now, now)
                self.deleted[name].discard(id)

    @rule(target=deliveries, name=st.sampled_from(QUEUES), limit=st.integers(1, 4))
    def receive(self, name: str, limit: int) -> MultipleResults[Delivery]:
        self._expire()
        now = self.clock.now()
        got = self.broker.receive(name, limit=limit)
        entries = self.live[name]
        due = [entry for entry in entries.values() if entry.visible_at <= now]
        worn = [entry for entry in due if entry.receives >= MAX_RECEIVES]
        fresh = [entry for entry in due if entry.receives < MAX_RECEIVES]
        assert len(got) == min(limit, len(fresh))
        buried = {letter.id for letter in self.broker.peek(f"{name}-dlq", 1000)} - self.dead[name]
        assert buried <= {entry.id for entry in worn}
        for id in buried:
            del entries[id]
            self.dead[name].add(id)
        for delivery in got:
            entry = entries[delivery.id]
            assert delivery.id not in self.deleted[name], "back after delete"
            assert entry.visible_at <= now, "two holders"
            assert delivery.body == f"body {delivery.id}"
            entry.receives += 1
            entry.visible_at = now + VISIBILITY
            entry.receipt = delivery.receipt
            assert delivery.receive_count == entry.receives
        return multiple(*got)

    def _entry(self, delivery: Delivery) -> Entry | None:
        """The entry that this receipt still holds."""
        self._expire()
        entry = self.live[delivery.queue].get(delivery.id)
        return entry if entry is not None and entry.receipt == delivery.receipt else None

    @rule(delivery=consumes(deliveries))
    def delete(self, delivery: Delivery) -> None:
        # An expired row may still be there for its holder: deleting it is harmless either way.
        expired = self.clock.now() >= delivery.sent_at + RETENTION
        entry = self._entry(delivery)
        (ok,) = self.broker.delete([Finish(delivery)])
        assert expired or ok == (entry is not None)
        if entry is not None:
            del self.live[delivery.queue][delivery.id]
            self.deleted[delivery.queue].add(delivery.id)

    @rule(delivery=deliveries, seconds=st.sampled_from([0.0, 1.0, 60.0]))
    def change_visibility(self, delivery: Delivery, seconds: float) -> None:
        entry = self._entry(delivery)
        now = self.clock.now()
        (ok,) = self.broker.change_visibility([(delivery, seconds)])
        if entry is not None:
            assert ok == (entry.visible_at > now)
            if ok:
                entry.visible_at = now + seconds
        elif now < delivery.sent_at + RETENTION:
            assert not ok

    @rule(delivery=consumes(deliveries))
    def give_back(self, delivery: Delivery) -> None:
        entry = self._entry(delivery)
        (ok,) = self.broker.give_back([delivery])
        if entry is not None:
            assert ok
            entry.receives -= 1
            entry.visible_at = self.clock.now()
            entry.receipt = None

    @rule(delivery=consumes(deliveries))
    def dead_letter(self, delivery: Delivery) -> None:
        if self.clock.now() >= delivery.sent_at + RETENTION:
            return
        entry = self._entry(delivery)
        (ok,) = self.broker.dead_letter([(delivery, "{}")])
        assert ok == (entry is not None)
        if entry is not None:
            del self.live[delivery.queue][delivery.id]
            self.dead[delivery.queue].add(delivery.id)

    @rule(name=st.sampled_from(QUEUES))
    def redrive(self, name: str) -> None:
        # What the source holds again already is replaced by the letter; both are one event.
        now = self.clock.now()
        assert self.broker.redrive(f"{name}-dlq") == len(self.dead[name])
        for id in self.dead[name]:
            self.live[name][id] = Entry(id, now, now)
        self.dead[name] = set()

    @rule(seconds=st.sampled_from([0.5, 10.0, 31.0, 101.0, 3600.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "live"):
            return
        self._expire()
        now = self.clock.now()
        for name, entries in self.live.items():
            counts = self.broker.counts(name)
            assert counts.visible == sum(entry.visible_at <= now for entry in entries.values())
            assert counts.visible + counts.in_flight + counts.delayed == len(entries), "lost"
            assert self.broker.counts(f"{name}-dlq").visible == len(self.dead[name])

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.broker.close()


class FileMachine(BrokerMachine):
    """The same on a file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "broker.db"
        self.address = f"sqlite:///{path}?durability=process"

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestBrokerInMemory = BrokerMachine.TestCase
TestBrokerInMemory.settings = settings(
    max_examples=70 * TIMES, stateful_step_count=40, deadline=None
)
TestBrokerInFile = FileMachine.TestCase
TestBrokerInFile.settings = settings(
    max_examples=15 * TIMES,
    stateful_step_count=30,
    deadline=None,
)
