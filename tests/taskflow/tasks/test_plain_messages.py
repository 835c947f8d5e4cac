"""Most messages are read the short way, which finds what the long one does, or says nothing."""

import dataclasses
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from msgspec.structs import replace

from taskflow import Registry, group, task
from taskflow.broker.change import Change, Put
from taskflow.brokers import open_address
from taskflow.engine import Found
from taskflow.message import Delivery, Message
from taskflow.publisher import using
from taskflow.tasks import plain_messages, reading
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import STATES, load
from taskflow.testing import ManualClock
from taskflow.topology import declare


class Sent:
    """A broker with the messages of a few calls in it, without and with a run."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_800_000_000.0)
        self.broker = cast(Any, open_address("memory://", clock=self.clock, random=Random(3)))
        self.registry = Registry()

        @task(registry=self.registry, name="plain", queue="work")
        def plain(value: int = 0) -> int:
            return value

        @task(registry=self.registry, name="kept", queue="work", result="1d", aliases=["old"])
        def kept(value: int = 0) -> int:
            return value

        @task(registry=self.registry, name="few", queue="work", limit=3)
        def few(value: int = 0) -> int:
            return value

        declare(self.broker, self.registry)
        self.broker.create_queue("other")
        self.tasks: dict[str, Any] = {"plain": plain, "kept": kept, "few": few}
        self.deliveries: list[Delivery] = []

    def call(self, name: str, **options: Any) -> None:
        with using(self.broker):
            self.tasks[name].options(**options).delay(len(self.deliveries))
        self.receive()

    def receive(self) -> None:
        self.deliveries += self.broker.receive("work", "other", limit=10)

    def change(self, run: str, state: str | None = None, **fields: Any) -> None:
        """Let a run be another one."""
        row = load(self.broker, [run])[run]
        put = put_run(run, replace(row.run, **fields), cast(Any, state or row.state), row.version)
        self.broker.apply([Change(records=[put])])[0].or_raise()

    def find(self) -> list[Found]:
        return list(task_engine(self.registry).find(self.broker, self.deliveries))


def calls(sent: Sent) -> None:
    sent.call("plain")
    sent.call("kept")
    sent.call("plain", result="1h")
    sent.call("kept", headers={"a": "b"}, priority="high")


def keyed(sent: Sent) -> None:
    sent.call("kept", key="k")


def limited(sent: Sent) -> None:
    sent.call("few")
    sent.call("few", result="1d")


def limited_by_hand(sent: Sent) -> None:
    sent.broker.send("work", [Message("m1", '{"task":"few","args":[1]}')])
    sent.receive()


def too_late(sent: Sent) -> None:
    sent.call("plain", expires=5.0)
    sent.call("kept", expires=5.0)
    sent.clock.advance(6.0)


def in_time(sent: Sent) -> None:
    sent.call("plain", expires=50.0)
    sent.call("kept", expires=50.0)


def in_a_plan(sent: Sent) -> None:
    with using(sent.broker):
        group(sent.tasks["kept"].s(at) for at in range(3)).delay()
    sent.receive()


def of_nobody(sent: Sent) -> None:
    sent.broker.send("work", [Message("m1", '{"task":"nobody"}'), Message("m2", "no JSON")])
    sent.broker.send("work", [Message("m3", '{"run":"none","generation":1}')])
    sent.broker.send("work", [Message("m4", '{"run":"","generation":1}')])
    sent.receive()


def by_a_name_of_before(sent: Sent) -> None:
    sent.broker.send("work", [Message("m1", '{"task":"old","args":[1],"result":60}')])
    sent.receive()
    sent.call("plain")


def cancelled(sent: Sent) -> None:
    with using(sent.broker):
        results = [sent.tasks["plain"].delay(1), sent.tasks["kept"].delay(2)]
        results += [sent.tasks["plain"].delay(3), sent.tasks["kept"].delay(4)]
        sent.receive()
        for result in results[:2]:
            result.cancel()


def forged(sent: Sent) -> None:
    """Messages that name runs of others, in another queue, under another id, of another life."""
    sent.call("kept")
    run = sent.deliveries[0].id
    texts = [f'{{"run":"{run}","generation":{n}}}' for n in (0, 1, 2)]
    sent.broker.send("work", [Message(f"m{at}", text) for at, text in enumerate(texts)])
    sent.broker.send("other", [Message(run, texts[1])])
    sent.receive()
    sent.deliveries.append(dataclasses.replace(sent.deliveries[0], body=texts[2]))


def lives_again(sent: Sent) -> None:
    sent.call("kept")
    sent.change(sent.deliveries[0].id, generation=2)


def told_to_stop(sent: Sent) -> None:
    sent.call("kept")
    sent.change(sent.deliveries[0].id, "running", stop=True)


def renamed(sent: Sent) -> None:
    sent.call("kept")
    sent.change(sent.deliveries[0].id, task="gone")


def unreadable(sent: Sent) -> None:
    sent.call("kept")
    bad = Put(kind="run", key=sent.deliveries[0].id, value='{"task":1}')
    sent.broker.apply([Change(records=[bad])])[0].or_raise()


CASES: list[Callable[[Sent], None]] = [
    *(calls, keyed, limited, limited_by_hand, too_late, in_time, in_a_plan, of_nobody),
    *(by_a_name_of_before, cancelled, forged, lives_again, told_to_stop, renamed, unreadable),
]


def told(one: Found) -> list[Any]:
    """What was found, as it can be compared."""
    work = one.work
    return [
        None if one.entry is None else one.entry.name,
        *(one.policy, one.window, type(one.refusal), str(one.refusal), one.decided, one.slot),
        None if work is None else (work.task, work.body, work.row, work.taken, work.delivery.id),
    ]


def both(sent: Callable[[], Sent], monkeypatch: pytest.MonkeyPatch) -> int:
    """Read what two brokers hold that are the same, the short way and the long one; answers how
    many went the short one."""
    short, quick = sent(), list[bool]()
    find_plain = plain_messages.find_plain

    def noted(*given: Any) -> Found | None:
        found = find_plain(*given)
        quick.append(found is not None)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(reading, "find_plain", noted)
        found = [told(one) for one in short.find()]
        patched.setattr(reading, "find_plain", lambda *given: None)
        assert [told(one) for one in sent().find()] == found
    assert found
    return sum(quick)


def made(case: Callable[[Sent], None]) -> Callable[[], Sent]:
    def sent() -> Sent:
        new = Sent()
        case(new)
        return new

    return sent


@pytest.mark.parametrize("case", CASES)
def test_the_short_way_is_the_long_one(
    case: Callable[[Sent], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    both(made(case), monkeypatch)


@pytest.mark.parametrize("state", STATES)
def test_in_every_state(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(sent: Sent) -> None:
        sent.call("kept")
        sent.change(sent.deliveries[0].id, state)

    went = both(made(change), monkeypatch)
    assert went == (state not in ("done", "failed", "cancelled", "expired"))


def test_calls_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert both(made(calls), monkeypatch) == 4
    assert both(made(forged), monkeypatch) == 1
    for case in (too_late, limited, in_a_plan, told_to_stop, lives_again, renamed):
        assert both(made(case), monkeypatch) == 0
