"""Changes that are alike are made together, and come to what they come to one by one."""

from random import Random
from typing import Any, cast

import pytest

from taskflow.broker.change import Change, Free, Put, Send, Take
from taskflow.broker.settings import Finish, Holding
from taskflow.brokers import open_address
from taskflow.brokers.stored import apply
from taskflow.brokers.stored.like_changes import are_alike
from taskflow.errors import VersionConflict
from taskflow.message import Message
from taskflow.testing import ManualClock

TABLES = ("message", "body", "record", "holding", "finished")
KEYS, NAMES = [f"k{n}" for n in range(6)], [f"r{n}" for n in range(9)]
START = 1_800_000_000.0


class Played:
    """A broker to which random batches of changes happen."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)
        self.clock = ManualClock(START)
        opened = open_address("memory://", clock=self.clock, random=Random(seed))
        self.broker = cast(Any, opened)
        self.broker.core.fresh_version = lambda: 1 << 20  # what is refused draws another number
        for queue in ("one", "two"):
            self.broker.create_queue(queue)
        self.versions: dict[str, int] = {}
        self.answers: list[Any] = []

    def batch(self) -> None:
        """Some changes at once: mostly alike, now and then one that is refused."""
        draw = self.draw
        held = self.broker.receive("one", "two", limit=draw.randrange(1, 5), holding=Holding())
        keys, names = draw.sample(KEYS, len(KEYS)), draw.sample(NAMES, len(NAMES))
        changes = []
        for number in range(draw.randrange(1, 6)):
            name = names[number]
            expected = self.versions.get(name, 0)
            if draw.random() < 0.05:
                expected += 1
            put = Put(
                kind="run",
                key=name,
                value=f"{draw.random()}",
                expected=expected,
                label=draw.choice(["l", "l", None]),
                state=draw.choice(["waiting", "done"]),
                due_at=draw.choice([None, self.clock.now() + 5]),
                expires_at=draw.choice([None, None, self.clock.now() + 20]),
                rings=draw.random() < 0.5,
            )
            taken: list[Take | Free] = []
            key, holder = keys[number], draw.choice(["a", "b"])
            if draw.random() < 0.4:
                taken.append(Take(key, holder, draw.choice([None, self.clock.now() + 10])))
            elif draw.random() < 0.5:
                taken.append(Free(key, holder))
            message = Message(f"m{draw.randrange(40)}", "body", delay=draw.choice([None, 3.0]))
            delivery = held.pop() if held else None
            changes.append(
                Change(
                    fence=delivery,
                    keys=taken,
                    records=[put],
                    sends=[Send(draw.choice(["one", "two"]), [message])],
                    settlements=[] if delivery is None else [Finish(delivery, 60.0)],
                )
            )
        made = self.broker.apply(changes)
        for change, answer in zip(changes, made, strict=True):
            why = None if answer.refused is None else (type(answer.refused), str(answer.refused))
            sent = [[one.id for one in some] for some in answer.sent]
            self.answers.append((answer.versions, sent, answer.settled, why))
            if answer.refused is None:
                self.versions[change.records[0].key] = answer.versions[0]
        for name in list(self.versions):
            if not self.broker.records("run", [name]):  # it has expired
                del self.versions[name]
        self.clock.advance(draw.choice([0.0, 0.0, 1.0, 7.0]))

    def stored(self) -> list[Any]:
        """All rows, in their order, but what has expired, which goes some time. (What is refused
        has taken a number, too.)"""
        connection = self.broker.store._database.connection
        found = {name: list(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}
        numbers = {row[:2]: row[7] for row in found["message"]}
        assert sorted(row[0] for row in found["body"]) == sorted(seq for _, seq in numbers)
        found["message"] = sorted((row[0], *row[2:]) for row in found["message"])
        found["body"] = sorted(row[1:] for row in found["body"])
        now = self.clock.now()
        records = [row[1:] for row in sorted(found["record"])]
        found["record"] = [row for row in records if row[8] is None or row[8] > now]
        found["holding"] = [row for row in found["holding"] if row[2] is None or row[2] > now]
        found["finished"] = [row for row in found["finished"] if row[3] > now]
        return [found, [queue for (queue, _), _ in sorted(numbers.items())]]


def play(seed: int) -> tuple[Any, Any]:
    played = Played(seed)
    for _ in range(25):
        played.batch()
    return played.answers, played.stored()


@pytest.mark.parametrize("seed", range(20))
def test_as_one_by_one(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    together: list[bool] = []

    def noted(*given: Any) -> bool:
        together.append(are_alike(*given))
        return together[-1]

    monkeypatch.setattr(apply, "are_alike", noted)
    found = play(seed)
    assert together.count(True) > 5
    monkeypatch.setattr(apply, "are_alike", lambda *given: False)
    assert play(seed) == found


@pytest.mark.parametrize(
    "change",
    [
        Change(id="again"),
        Change(records=[Put(kind="run", key="one", value="", expected=0)]),
        Change(records=[Put(kind="run", key="two", value="")]),
        Change(keys=[Free("key", "other")]),
        Change(sends=[Send("queue", [Message("id", "body")])]),
    ],
)
def test_what_touches_another_is_not_alike(change: Change) -> None:
    first = Change(
        keys=[Take("key", "holder")],
        records=[Put(kind="run", key="one", value="", expected=0)],
        sends=[Send("queue", [Message("id", "body")])],
    )
    assert not are_alike([first, change], waits=True)
    assert are_alike([first, Change(sends=[Send("queue", [Message("other", "body")])])], waits=True)


def test_what_is_over_when_it_is_written_is_not_counted_for_another() -> None:
    broker, now = open_address("memory://", clock=ManualClock(START)), START

    def new(key: str, expires_at: float | None = None) -> Change:
        return Change(
            records=[Put(kind="t", key=key, value="new", expected=0, expires_at=expires_at)]
        )

    broker.apply([new("there")])
    made = broker.apply([new("over", now - 1), new("there")])
    assert [type(one.refused) for one in made] == [type(None), VersionConflict]
