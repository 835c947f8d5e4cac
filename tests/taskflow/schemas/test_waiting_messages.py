"""What waits, read with the types of the code that is here."""

from collections.abc import Sequence

import msgspec
import pytest

from taskflow import Broker, Registry, chain, group, publish
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.schemas.waiting_messages import read_waiting
from taskflow.sealing.sealed_broker import sealed
from taskflow.tasks.decorator import task
from taskflow.topology import declare


class Order(msgspec.Struct):
    """What the handlers want."""

    total: int


def code(*, total: type = int, codec: bool = False, name: str = "add") -> Registry:
    """An application; another one has other types."""
    registry = Registry(codec=(reverse, reverse) if codec else None)

    def record(order: Order) -> None: ...
    def take(body: dict[str, int]) -> None: ...
    def add(x: int) -> int:
        return x

    add.__annotations__["x"] = total
    registry.subscribe("made", queue="work")(record)
    registry.subscribe("sold", queue="raw", raw=True)(take)
    task(queue="jobs", registry=registry, name=name, result="1h")(add)
    return registry


def reverse(data: bytes) -> bytes:
    return data[::-1]


def misfits(broker: Broker, registry: Registry, limit: int = 100) -> Sequence[tuple[str, str, int]]:
    found = read_waiting(broker, registry, limit)
    return [(one.where, one.payload, one.count) for one in found.misfits]


@pytest.fixture
def broker(taskflow_broker: Broker) -> Broker:
    declare(taskflow_broker, code())
    return taskflow_broker


def test_events_that_do_not_fit_are_counted_by_their_reason(broker: Broker) -> None:
    for payload in ({"total": 1}, {"total": "1"}, {"total": "2"}, {}):
        publish("made", payload)
    broker.create_topic("lost")
    broker.subscribe("lost", "work")
    publish("lost", 1)
    broker.send("work", [Message("plain", "no JSON")])
    broker.send("raw", [Message("r1", '{"a": 1}'), Message("r2", '{"a": "b"}')])
    found = read_waiting(broker, code(), 100)
    assert sorted((one.where, one.payload, one.count) for one in found.misfits) == [
        ("queue raw", "event sold", 1),
        ("queue work", "event ?", 1),
        ("queue work", "event lost", 1),
        ("queue work", "event made", 1),
        ("queue work", "event made", 2),
    ]
    assert [str(one) for one in found.looked] == [
        "queue jobs: looked at 0 of 0",
        "queue raw: looked at 2 of 2",
        "queue work: looked at 6 of 6",
    ]
    few = read_waiting(broker, code(), 2)
    assert [str(one) for one in few.looked][2] == "queue work: looked at 2 of 6"


def test_calls_are_read_where_their_arguments_are(broker: Broker) -> None:
    registry = code()
    body = '{"task":"add","args":["x"]}'
    broker.send("jobs", [Message("c1", body), Message("c2", '{"task":"gone","args":[]}')])
    assert misfits(broker, registry) == [
        ("queue jobs", "task add", 1),
        ("queue jobs", "task gone", 1),
    ]


def test_runs_are_read_a_slice_at_a_time_and_what_a_plan_gives_is_left_out(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()

    @task(queue="jobs", registry=registry, name="add", result="1h")
    def add(x: int) -> int:
        return x

    monkeypatch.setattr("taskflow.schemas.waiting_messages.SLICE", 2)
    with using(broker):
        add.delay(1)
        add.options(delay=7200).delay(2)
        chain(add.s(1), add.s()).delay()
        group([add.s(1), add.s(2)]).delay()
    assert misfits(broker, code()) == []
    assert misfits(broker, code(name="plus")) == [("runs", "task add", 5)]
    assert misfits(broker, code(total=str), 3) == [("runs", "task add", 3)]


def test_what_is_sealed_says_nothing_without_its_key(broker: Broker) -> None:
    locked = code(codec=True)
    with using(sealed(broker, locked.codec)):
        publish("made", {"total": "secret"})
    assert misfits(sealed(broker, locked.codec), locked) == [("queue work", "event made", 1)]
    found = read_waiting(broker, code(), 100)
    assert (found.misfits, str(found.looked[2])) == (
        [],
        "queue work: looked at 1 of 1, 1 sealed",
    )
