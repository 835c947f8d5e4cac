"""Random verbs of a simulation's broker are answered, stored and heard as by the one behind it."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from taskflow import Registry
from taskflow.broker.change import (
    Add,
    Change,
    Free,
    Hide,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
    Take,
)
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Finish, Holding
from taskflow.errors import TaskflowError
from taskflow.message import Message
from taskflow.testing import Sim
from tests.model.test_foreground import both_ways, stored
from tests.taskflow.making import FIXED

QUEUES = ("one", "two", "three.fifo")
FIFO = ("ordered.fifo", "three.fifo")
CARRIED = {"headers": {"a": "b"}, "trace": "t", "run": "r", "expires_at": 1_900_000_000}
NUMBER = re.compile(r"1800000[0-9]{9}(?![0-9])|(?<=sequence=)[0-9]+")
"""A message's: it is higher than that of what is there, and of those that are not it may be one."""
DUE = RecordQuery(kind="run", order="due", limit=20)


def nothing(event: Any) -> None: ...


class Verbs:
    """A simulation in which nothing runs, and what its broker says to random verbs."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(f"verbs {seed}")
        registry = Registry()
        for topic, queue in (("both", "one"), ("both", "two"), ("alone", "two"), FIFO):
            registry.subscribe(topic, queue=queue, policy=FIXED)(nothing)
        self.sim = Sim(registry, seed=seed)
        self.broker: Any = self.sim.broker
        self.held: list[Any] = []
        self.odd = False
        self.rings: set[str] = set()
        self.broker.watch(self.rings.update)
        self.number = 0

    def play(self, count: int) -> list[Any]:
        answers = []
        for _ in range(count):
            self.odd = self.draw.random() < 0.06
            verb = self.draw.choice(SELDOM if self.odd else OFTEN)
            try:
                answer = repr(verb(self))
            except TaskflowError as error:
                answer = repr(error)
            answers.append((verb.__name__, NUMBER.sub("#", answer), sorted(self.rings)))
            self.rings.clear()
        return [answers, stored(self.sim)]

    # ---- parts --------------------------------------------------------------------------------
    def message(self, fifo: bool) -> Message:
        draw = self.draw
        self.number += draw.random() < 0.97
        options: dict[str, Any] = draw.choice([{}, {}, {}, {"delay": 7.0}, CARRIED])
        if fifo:
            options = {"group": "g", "deduplication_id": str(self.number)}
        elif self.odd:
            options = draw.choice(
                [{"priority": "high"}, {"group": "t"}, {"attributes": {"a": "b"}}]
            )
        return Message(f"m{self.number}", "body", **options)

    def taken(self) -> Any:
        """One that is held, or was when it is odd."""
        now = self.sim.clock.now()
        if not self.odd:
            self.held = [one for one in self.held if one.visible_at > now]
        if not self.held:
            self.lend()
        if not self.held:
            return None
        at = self.draw.randrange(len(self.held))
        return self.held[at] if self.odd else self.held.pop(at)

    def sending(self) -> Send | Publish:
        kind = self.draw.choice(["three.fifo"] if self.odd else ["one", "two", "both", "alone"])
        messages = [self.message(kind in QUEUES[2:]) for _ in range(self.draw.choice([1, 1, 2]))]
        return (Send if kind in QUEUES else Publish)(kind, messages)

    def change(self, names: list[str], keys: list[str]) -> Change:
        draw, now = self.draw, self.sim.clock.now()
        name, key, holder = names.pop(), keys.pop(), draw.choice(["x", "y"])
        found = self.broker.records("run", [name]).get(name)
        put = Put(
            kind="run",
            key=name,
            value=f"{draw.random()}",
            expected=draw.choice([None, 0, 5]) if self.odd else found.version if found else 0,
            label=draw.choice([None, "label"]),
            due_at=draw.choice([None, now + draw.randrange(9)]),
            expires_at=draw.choice([None, None, now + 15]),
            rings=draw.random() < 0.5,
        )
        one = self.taken() if draw.random() < 0.6 else None
        settling: list[Callable[[Any], Settlement]] = [
            lambda one: Finish(one, 60.0),
            lambda one: Finish(one),
            lambda one: Hide(one, 4.0),
        ]
        keyed: list[list[Take | Free]] = [[], [Take(key, holder, now + 9)], [Free(key, holder)]]
        return Change(
            fence=draw.choice([None, one]),
            keys=draw.choice(keyed),
            records=[Remove("run", name)] if self.odd else draw.choice([[], [put], [put]]),
            counters=[Add("run", name, 1)] if self.odd else [],
            sends=[self.sending() for _ in range(draw.choice([0, 0, 1, 1, 2]))],
            settlements=[] if one is None else [draw.choice(settling)(one)],
        )

    # ---- verbs --------------------------------------------------------------------------------
    def apply(self) -> Any:
        draw = self.draw
        names, keys = [f"r{number}" for number in range(5)], ["a", "b", "c"]
        draw.shuffle(names)
        draw.shuffle(keys)
        changes = [self.change(names, keys) for _ in range(draw.choice([1, 1, 1, 2]))]
        return [
            [*map(list, (one.versions, one.counts, one.sent, one.settled)), repr(one.refused)]
            for one in self.broker.apply(changes)
        ]

    def lend(self) -> Any:
        draw = self.draw
        holding = Holding(draw.choice([0, 1]), self.odd and draw.choice([0, 1]))
        visibility = draw.choice([None, None, 9.0])
        queue = draw.choice(QUEUES if self.odd else QUEUES[:2])
        found = self.broker.receive(queue, visibility=visibility, holding=holding)
        self.held += found
        return found

    def drain(self) -> Any:
        done = []
        for queue in QUEUES[:2]:
            while found := self.broker.receive(queue, holding=Holding()):
                done += self.broker.delete([Finish(found[0])])
        return done

    def send(self) -> Any:
        one = self.sending()
        if isinstance(one, Send):
            return self.broker.send(one.queue, one.messages)
        return self.broker.publish(one.topic, one.messages).subscriptions

    def delete(self) -> Any:
        one = self.taken()
        return one and self.broker.delete([Finish(one, self.draw.choice([0.0, 30.0]))])

    def hide(self) -> Any:
        one = self.taken()
        return one and self.broker.change_visibility([(one, self.draw.choice([0.0, 5.0]))])

    def extend(self) -> Any:
        one = self.taken()
        return one and (self.broker.extend([(one, 20.0)]), one.visible_at)

    def give_back(self) -> Any:
        one = self.taken()
        return one and self.broker.give_back([one])

    def bury(self) -> Any:
        one = self.taken()
        return one and self.broker.dead_letter([(one, "{}")])

    def claim(self) -> Any:
        one = self.taken()
        return one and self.broker.claim([one])

    def look(self) -> Any:
        broker = self.broker
        records = broker.records("run", [f"r{number}" for number in range(5)])
        return records, broker.list_records(DUE), broker.next_due("one"), broker.first_due("two")

    def hold(self) -> Any:
        return self.broker.hold(self.draw.choice(["a", "b"]), self.draw.choice(["x", "y"]), 6.0)

    def count(self) -> Any:
        return [self.broker.counts(queue) for queue in QUEUES], self.broker.holders(["a", "b"])

    def upkeep(self) -> Any:
        return self.broker.upkeep()

    def time(self) -> Any:
        self.sim.advance(self.draw.choice([0.0, 0.5, 3.0, 3.0, 40.0]))


OFTEN = [
    *(Verbs.apply, Verbs.apply, Verbs.apply, Verbs.send, Verbs.lend, Verbs.lend, Verbs.delete),
    *(Verbs.hide, Verbs.extend, Verbs.claim, Verbs.look, Verbs.hold, Verbs.time, Verbs.drain),
    *(Verbs.delete, Verbs.drain, Verbs.upkeep),
]
SELDOM = [*OFTEN, Verbs.give_back, Verbs.bury, Verbs.count]


@pytest.mark.parametrize("seed", range(16))
def test_random_verbs(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    both_ways(monkeypatch, lambda: Verbs(seed).play(150))
