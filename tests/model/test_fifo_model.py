"""Any sequence of calls on a FIFO queue against a small model: nothing lost, never two holders, no
message overtakes another of its group, duplicates are the first one, `next_due` tells the truth."""

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
from taskflow.broker.settings import Sent
from taskflow.config import open_broker
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from tests.model.examples import TIMES

MAX_RECEIVES = 3
VISIBILITY = 30.0
WINDOW = 300.0
QUEUE, DLQ = "q.fifo", "q-dlq.fifo"


class Entry:
    """One message of the queue, as the model sees it."""

    def __init__(self, id: str, group: str, now: float) -> None:
        self.id = id
        self.group = group
        self.visible_at = now
        self.receives = 0
        self.receipt: str | None = None


class FifoMachine(RuleBasedStateMachine):
    """A FIFO queue and its DLQ, both in the order of arrival."""

    deliveries: Bundle[Delivery] = Bundle("deliveries")
    address = "memory://"

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock(1000.0)
        self.broker = open_broker(self.address, clock=self.clock, random=random.Random(1))
        self.broker.create_queue(DLQ)
        self.broker.create_queue(
            QUEUE, QueueSettings(VISIBILITY, dead_letter_queue=DLQ, max_receives=MAX_RECEIVES)
        )
        self.live: list[Entry] = []
        self.dead: list[Entry] = []
        self.known: dict[str, tuple[Sent, float]] = {}  # by deduplication id, and until when
        self.sent = 0
        self.latest = self.clock.now()
        self.last_sequence = 0

    # ---- send -------------------------------------------------------------------------------
    @rule(keys=st.lists(st.integers(0, 15), min_size=1, max_size=4), group=st.sampled_from("abc"))
    def send(self, keys: list[int], group: str) -> None:
        """Few keys, so many are duplicates, some within one batch."""
        now = self.clock.now()
        messages = []
        for key in keys:
            id = f"m{self.sent}"
            self.sent += 1
            messages.append(Message(id, f"of {id}", group=group, deduplication_id=f"k{key}"))
        answers = self.broker.send(QUEUE, messages)
        for message, answer in zip(messages, answers, strict=True):
            assert message.deduplication_id is not None
            first, until = self.known.get(message.deduplication_id, (answer, 0.0))
            if now < until and (answer == first or self.latest < until):
                assert answer == first
                continue  # what was past its window once may be forgotten when the clock goes back
            assert answer.id == message.id
            assert answer.sequence > self.last_sequence
            self.last_sequence = answer.sequence
            self.known[message.deduplication_id] = answer, now + WINDOW
            self.live.append(Entry(message.id, group, now))

    # ---- receive ----------------------------------------------------------------------------
    def _open(self) -> list[Entry]:
        """What may be received: of each group all up to its first hidden message."""
        now = self.clock.now()
        closed: set[str] = set()
        found = []
        for entry in self.live:
            if entry.visible_at > now:
                closed.add(entry.group)
            elif entry.group not in closed:
                found.append(entry)
        return found

    def _receive(self, limit: int) -> list[Delivery]:
        may = self._open()
        got = self.broker.receive(QUEUE, limit=limit)
        taken = [delivery.id for delivery in got]
        buried = self._bury(may)
        left = [entry for entry in may if entry not in buried]
        assert set(taken) <= {entry.id for entry in left}, "two holders, or overtaken"
        for group in "abc":
            of_group = [entry.id for entry in left if entry.group == group]
            of_taken = [one.id for one in got if one.group == group]
            assert of_taken == of_group[: len(of_taken)], "out of order"
        if buried:
            assert got or not left
        else:
            assert len(got) == min(limit, len(left))
        for delivery in got:
            entry = next(entry for entry in left if entry.id == delivery.id)
            entry.receives += 1
            entry.visible_at = self.clock.now() + VISIBILITY
            entry.receipt = delivery.receipt
            assert delivery.receive_count == entry.receives <= MAX_RECEIVES
            assert (delivery.body, delivery.group) == (f"of {entry.id}", entry.group)
            assert delivery.visible_at == entry.visible_at
        return got

    def _bury(self, may: list[Entry]) -> list[Entry]:
        """The worn-out messages that the receive has moved to the DLQ, in order."""
        letters = [letter.id for letter in self.broker.peek(DLQ, 1000)][len(self.dead) :]
        buried = [entry for entry in may if entry.id in letters]
        assert len(buried) == len(letters), "buried, but not receivable"
        assert all(entry.receives >= MAX_RECEIVES for entry in buried)
        for group in "abc":
            moved = [entry.id for entry in buried if entry.group == group]
            assert moved == [id for id in letters if id in moved]
        for id in letters:
            self.dead.append(next(entry for entry in buried if entry.id == id))
        self.live = [entry for entry in self.live if entry not in buried]
        return buried

    @rule(target=deliveries, limit=st.integers(1, 6))
    def receive(self, limit: int) -> MultipleResults[Delivery]:
        return multiple(*self._receive(limit))

    @rule(target=deliveries)
    def wait_for_the_next(self) -> MultipleResults[Delivery]:
        """When nothing is due, `next_due` says when something will be, and then it is."""
        got = self._receive(1)
        dead = len(self.dead)
        due = self.broker.next_due(QUEUE)
        if not got:
            heads = {entry.group: entry.visible_at for entry in reversed(self.live)}
            assert due == min(heads.values(), default=None)
            if due is not None:
                self.clock.set(due)
                got = self._receive(1)
                assert got or len(self.dead) > dead
        return multiple(*got)

    # ---- settle -----------------------------------------------------------------------------
    def _entry(self, delivery: Delivery) -> Entry | None:
        """The message that still carries this receipt."""
        found = (entry for entry in self.live if entry.receipt == delivery.receipt)
        return next(found, None)

    @rule(delivery=consumes(deliveries))
    def delete(self, delivery: Delivery) -> None:
        entry = self._entry(delivery)
        held = entry is not None and entry.visible_at > self.clock.now()
        assert self.broker.delete([Finish(delivery)]) == [held]
        if entry is not None and held:
            self.live.remove(entry)

    @rule(delivery=deliveries, seconds=st.sampled_from([0.0, 0.0, 1.0, 60.0]))
    def change_visibility(self, delivery: Delivery, seconds: float) -> None:
        entry, now = self._entry(delivery), self.clock.now()
        held = entry is not None and entry.visible_at > now
        assert self.broker.change_visibility([(delivery, seconds)]) == [held]
        if entry is not None and held:
            entry.visible_at = now + seconds

    @rule(delivery=consumes(deliveries))
    def give_back(self, delivery: Delivery) -> None:
        entry = self._entry(delivery)
        assert self.broker.give_back([delivery]) == [entry is not None]
        if entry is not None:
            entry.receives -= 1
            entry.receipt = None
            entry.visible_at = self.clock.now()

    @rule(delivery=consumes(deliveries))
    def dead_letter(self, delivery: Delivery) -> None:
        entry = self._entry(delivery)
        assert self.broker.dead_letter([(delivery, "{}")]) == [entry is not None]
        if entry is not None:
            self.live.remove(entry)
            self.dead.append(entry)

    @rule(limit=st.integers(1, 5))
    def redrive(self, limit: int) -> None:
        """Letters go to the end of their groups, as new ones."""
        back, self.dead = self.dead[:limit], self.dead[limit:]
        assert self.broker.redrive(DLQ, limit=limit) == len(back)
        self.live += [Entry(entry.id, entry.group, self.clock.now()) for entry in back]

    # ---- time -------------------------------------------------------------------------------
    @rule(seconds=st.sampled_from([0.5, 10.0, 31.0, WINDOW, -5.0]))
    def turn_the_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_is_lost_and_the_order_stays(self) -> None:
        if not hasattr(self, "live"):
            return
        now = self.clock.now()
        self.latest = max(self.latest, now)
        found = self.broker.peek(QUEUE, 1000)
        assert [one.id for one in found] == [entry.id for entry in self.live]
        assert [one.id for one in self.broker.peek(DLQ, 1000)] == [one.id for one in self.dead]
        numbers = [one.sequence for one in found]
        assert numbers == sorted(set(numbers))
        self.last_sequence = max([self.last_sequence, *numbers])
        counts = self.broker.counts(QUEUE)
        assert counts.visible == sum(entry.visible_at <= now for entry in self.live)
        assert counts.visible + counts.in_flight + counts.delayed == len(self.live)

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.broker.close()


class FifoFileMachine(FifoMachine):
    """The same on a file, which is opened again now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "broker.db"
        self.address = f"sqlite:///{path}?durability=process"

    @rule()
    def restart(self) -> None:
        self.broker.close()
        self.broker = open_broker(self.address, clock=self.clock, random=random.Random(2))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestFifoInMemory = FifoMachine.TestCase
TestFifoInMemory.settings = settings(max_examples=70 * TIMES, stateful_step_count=40, deadline=None)
TestFifoInFile = FifoFileMachine.TestCase
TestFifoInFile.settings = settings(
    max_examples=15 * TIMES,
    stateful_step_count=30,
    deadline=None,
)
