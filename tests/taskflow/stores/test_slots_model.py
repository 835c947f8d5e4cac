"""Slots under random use: no limit is passed, nothing is lost, and nothing waits for nothing."""

from collections import Counter
from random import Random

import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.settings import Holding, Limit
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Delivery, Message, Priority
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

MOST = {"a": 1, "b": 2, "c": 3}
HOLDING = Holding(limits={name: Limit(most) for name, most in MOST.items()})
LEASE = 30.0
PRIORITIES: tuple[Priority | None, ...] = (None, None, "high", "low")


class Use:
    """One random history, and what is held in it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = ManualClock()
        self.broker = StoredBroker(
            SqliteStore(None, durable=False), clock=self.clock, random=Random(seed)
        )
        self.broker.create_queue("dead")
        settings = QueueSettings(dead_letter_queue="dead", max_receives=4)
        self.broker.create_queue("work", settings)
        self.held: list[Delivery] = []
        self.sent = 0
        self.ended: set[str] = set()

    def slots_held(self) -> Counter[str]:
        now = self.clock.now()
        return Counter(one.slot for one in self.held if one.slot and one.visible_at > now)

    def send(self) -> None:
        for _ in range(self.random.randrange(1, 6)):
            name = self.random.choice([None, *MOST])
            key = self.random.choice(["", "\n1", "\n2"])
            self.sent += 1
            message = Message(
                f"m{self.sent}",
                "x",
                delay=self.random.choice([None, None, 5.0]),
                priority=self.random.choice(PRIORITIES),
                slot=None if name is None else name + key,
            )
            self.broker.send("work", [message])

    def receive(self) -> None:
        limit = self.random.choice([1, 2, 7])
        found = self.broker.receive("work", limit=limit, holding=HOLDING)
        self.held += found
        for slot, count in self.slots_held().items():
            assert count <= MOST[slot.partition("\n")[0]], (slot, count)
        if not found:  # whoever could start is not held back
            held, now = self.slots_held(), self.clock.now()
            mine = {one.id for one in self.held if one.visible_at > now}
            for one in self.broker.peek("work"):
                due = one.id not in mine and one.visible_at <= now
                if due:
                    assert one.slot is not None, one
                    assert held[one.slot] == MOST[one.slot.partition("\n")[0]], one

    def settle(self) -> None:
        now = self.clock.now()
        self.held = [one for one in self.held if one.visible_at > now]
        if not self.held:
            return
        one = self.held.pop(self.random.randrange(len(self.held)))
        match self.random.randrange(6):
            case 0:
                self.broker.give_back([one])
            case 1:
                self.broker.change_visibility([(one, self.random.choice([0, 7]))])
            case 2:
                self.broker.dead_letter([(one, "{}")])
                self.ended.add(one.id)
            case 3:
                self.broker.extend([(one, LEASE)])
                self.held.append(one)
            case _:
                self.broker.delete([Finish(one)])
                self.ended.add(one.id)

    def pass_time(self) -> None:
        self.clock.advance(self.random.choice([1, 1, 4, LEASE]))


@pytest.mark.parametrize("seed", range(60))
def test_a_limit_holds_and_holds_nobody_back_for_nothing(seed: int) -> None:
    use = Use(seed)
    steps = [use.send, use.receive, use.receive, use.settle, use.settle, use.pass_time]
    for _ in range(80):
        use.random.choice(steps)()
    for _ in range(2000):  # now all of it ends
        use.receive()
        for one in use.held:
            if one.visible_at > use.clock.now() and use.broker.delete([Finish(one)])[0]:
                use.ended.add(one.id)
        use.held.clear()
        use.clock.advance(4)
        if not use.broker.peek("work", 1):
            break
    letters = {one.id for one in use.broker.peek("dead", 1000)}
    assert use.ended | letters == {f"m{at + 1}" for at in range(use.sent)}
