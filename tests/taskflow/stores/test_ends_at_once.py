"""Runs that end together end as each would by itself: what is written, and what is answered."""

import dataclasses
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from taskflow.broker.change import Add, Applied, Change, Free, Hide, Put, Remove, Send
from taskflow.broker.settings import Finish, QueueSettings
from taskflow.brokers.stored import apply
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.ends import make_ends, read_ends
from taskflow.errors import LeaseLost, VersionConflict
from taskflow.message import Delivery, Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

TABLES = {
    "message": "id, receive_count, receipt, visible_at",
    "body": "body",
    "finished": "id, topic, expires_at",
    "queue": "name, handled",
    "record": "key, kind, version, value, parent, label, state, due_at, expires_at, created_at, "
    "changed_at",
}


class Held:
    """A broker of which somebody holds five messages, each of a run."""

    def __init__(self) -> None:
        self.store = SqliteStore(None, durable=False)
        self.clock = ManualClock()
        self.broker = StoredBroker(self.store, clock=self.clock, random=Random(7))
        self.broker.create_queue("work", QueueSettings())
        self.broker.send("work", [Message(f"m{at}", "x") for at in range(5)])
        self.deliveries = self.broker.receive("work", limit=5)
        puts = [
            Put(kind="run", key=f"r{at}", value="{}", expected=0, label="t", state="waiting")
            for at in range(5)
        ]
        made = [one.or_raise() for one in self.broker.apply([Change(records=[p]) for p in puts])]
        self.changes = [
            _ends(delivery, f"r{at}", one.versions[0])
            for at, (delivery, one) in enumerate(zip(self.deliveries, made, strict=True))
        ]
        self.clock.advance(3.0)

    def spoil(self, **fields: Any) -> None:
        """Let the second run's record be written otherwise."""
        change = self.changes[1]
        put = change.records[0]
        assert isinstance(put, Put)
        self.changes[1] = replace(change, records=[replace(put, **fields)])

    def rows(self) -> dict[str, list[Any]]:
        """All there is."""
        execute = self.store._database.connection.execute
        return {
            table: list(execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2"))
            if "," in columns
            else list(execute(f"SELECT {columns} FROM {table}"))
            for table, columns in TABLES.items()
        }


def _ends(delivery: Delivery, key: str, version: int) -> Change:
    put = Put(
        kind="run",
        key=key,
        value='{"result":1}',
        expected=version,
        label="t",
        state="done",
        expires_at=1e12,
        rings=True,
    )
    return Change(fence=delivery, records=[put], settlements=[Finish(delivery, 60.0)])


def as_it_is(held: Held) -> None:
    """Nothing is in the way."""


def given_back(held: Held) -> None:
    held.broker.give_back([held.deliveries[1]])


def lapsed(held: Held) -> None:
    held.clock.advance(1e6)


def acknowledged(held: Held) -> None:
    held.broker.delete([Finish(held.deliveries[1])])


def written_meanwhile(held: Held) -> None:
    held.broker.apply([Change(records=[Put(kind="run", key="r1", value="9")])])


def expired_meanwhile(held: Held) -> None:
    now = held.clock.now()
    held.broker.apply([Change(records=[Put(kind="run", key="r1", value="{}", expires_at=now - 1)])])


def of_another_version(held: Held) -> None:
    held.spoil(expected=5)


def of_a_huge_version(held: Held) -> None:
    held.spoil(expected=2**63)


def relabelled(held: Held) -> None:
    held.spoil(label="u")


def without_label(held: Held) -> None:
    held.spoil(label=None)


def with_a_parent(held: Held) -> None:
    held.spoil(parent="p")


def due(held: Held) -> None:
    held.spoil(due_at=77.0)


def of_a_long_state(held: Held) -> None:
    held.spoil(state="s" * 600)


def of_a_long_key(held: Held) -> None:
    held.spoil(key="k" * 600)


def of_an_odd_key(held: Held) -> None:
    held.spoil(key="\ud800")


def of_one_record(held: Held) -> None:
    held.spoil(key="r0")


def of_one_message(held: Held) -> None:
    first = held.deliveries[0]
    held.changes[1] = replace(held.changes[1], fence=first, settlements=[Finish(first)])


def in_no_queue(held: Held) -> None:
    held.broker.delete_queue("work")


CASES: list[Callable[[Held], None]] = [
    *(as_it_is, given_back, lapsed, acknowledged, written_meanwhile, expired_meanwhile),
    *(of_another_version, of_a_huge_version, relabelled, without_label, with_a_parent, due),
    *(of_a_long_state, of_a_long_key, of_an_odd_key, of_one_record, of_one_message, in_no_queue),
]


def told(answers: list[Applied]) -> list[Any]:
    """Answers as they can be compared."""
    return [
        (
            one.versions,
            list(one.counts),
            list(one.sent),
            one.settled,
            type(one.refused),
            str(one.refused),
        )
        for one in answers
    ]


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("case", CASES)
def test_together_is_as_the_long_way(
    case: Callable[[Held], None], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, shorter, long = Held(), Held(), Held()
    for held in (short, shorter, long):
        case(held)
        held.changes = held.changes[-count:] if count > 1 else [held.changes[1]]
    answers = told(shorter.broker.apply(shorter.changes))
    monkeypatch.setattr(apply, "read_ends", lambda changes: None)
    assert told(short.broker.apply(short.changes)) == answers
    monkeypatch.setattr(apply, "are_alike", lambda changes, waits: False)
    assert told(long.broker.apply(long.changes)) == answers
    assert short.rows() == long.rows() == shorter.rows()
    for held in (short, shorter, long):
        held.broker.close()


def test_ends_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    held, made = Held(), list[bool]()

    def noted(*given: Any) -> bool:
        made.append(make_ends(*given))
        return made[-1]

    monkeypatch.setattr(apply, "make_ends", noted)
    monkeypatch.setattr(apply, "are_alike", None)  # nobody asks
    held.broker.apply(held.changes)
    assert made == [True]
    held.broker.close()


def other_work(change: Change) -> list[Change]:
    """What does something beside that, or not all of it."""
    put = change.records[0]
    assert isinstance(put, Put)
    assert change.fence is not None
    slotted = dataclasses.replace(change.fence, slot="few")
    return [
        replace(change, id="again"),
        replace(change, keys=[Free("k", "h")]),
        replace(change, sends=[Send("work", [Message("new", "x")])]),
        replace(change, counters=[Add("run", "r9", -1)]),
        replace(change, records=[]),
        replace(change, records=[put, put]),
        replace(change, records=[Remove("run", put.key, put.expected)]),
        replace(change, records=[replace(put, expected=0)]),
        replace(change, records=[replace(put, expected=None)]),
        replace(change, records=[replace(put, due_at=1.0)]),
        replace(change, records=[replace(put, state="")]),
        replace(change, settlements=[]),
        replace(change, settlements=[Hide(change.fence, 1.0)]),
        replace(change, fence=None),
        replace(change, fence=slotted, settlements=[Finish(slotted)]),
    ]


def test_what_does_more_is_no_end() -> None:
    held = Held()
    assert read_ends(held.changes) is not None
    assert read_ends([]) is None
    for change in other_work(held.changes[1]):
        assert read_ends([held.changes[0], change]) is None
    held.broker.close()


def test_one_that_is_refused_takes_no_other_along() -> None:
    held = Held()
    written_meanwhile(held)
    held.broker.give_back([held.deliveries[3]])
    answers = held.broker.apply(held.changes)
    refused = [None if one.refused is None else type(one.refused) for one in answers]
    assert refused == [None, VersionConflict, None, LeaseLost, None]
    assert [one[0] for one in held.rows()["message"]] == ["m1", "m3"]
    states = {row[0]: row[6] for row in held.rows()["record"]}
    assert [states[f"r{at}"] for at in (0, 2, 3, 4)] == ["done", "done", "waiting", "done"]
    held.broker.close()


def test_who_waits_for_a_run_is_woken() -> None:
    held = Held()
    rung: list[str] = []
    held.broker.watch(rung.extend)
    held.broker.apply(held.changes)
    assert sorted(rung) == [f"#run/r{at}" for at in range(5)]
    held.broker.close()
