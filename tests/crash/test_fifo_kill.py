"""SIGKILL of workers of a FIFO queue: each group keeps its order, whatever is run again."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import Event, Registry, open_broker, publish_many
from taskflow.broker import Broker
from taskflow.testing import drain
from taskflow.topology import declare
from tests.crash.processes import check_integrity, child, end_leases, later, lines, rest

pytestmark = pytest.mark.crash
TOPIC, QUEUE = "made.fifo", "lined.fifo"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/broker.db?durability=process"


@pytest.fixture
def registry() -> Registry:
    """The subscription that the children make too."""
    registry = Registry()
    registry.subscribe(TOPIC, queue=QUEUE, retries=2)(lambda payload: None)
    return registry


@pytest.fixture
def broker(address: str, registry: Registry) -> Iterator[Broker]:
    opened = open_broker(address)
    declare(opened, registry)
    yield opened
    opened.close()


def put(broker: Broker, *names: str) -> None:
    """The first letter is the group."""
    publish_many(
        [Event(topic=TOPIC, payload=0, id=name, time=0.0, group=name[0]) for name in names],
        broker=broker,
    )


def test_the_interrupted_message_runs_again_before_those_behind_it(
    address: str, broker: Broker, registry: Registry
) -> None:
    put(broker, "a1", "a2", "a3", "a4")
    with child("die_inside_the_second", address) as process:
        assert lines(process, 1) == ["inside a2 1"]
    assert broker.receive(QUEUE) == [], "a2 is held, and holds back its group"
    ahead = later(address, 31)
    runs = drain(ahead, registry)
    assert [run.event_id for run in runs] == ["a2", "a3", "a4"]
    assert runs[0].attempt == 1, "it was received together with others"
    ahead.close()
    check_integrity(address)


def test_a_killer_ends_in_the_dlq_and_those_behind_it_are_handled(
    address: str, broker: Broker, registry: Registry
) -> None:
    put(broker, "a1", "a2", "a3", "b1")
    for attempt in (1, 1, 2, 3):  # retries=2; the first time with others, then alone
        with child("die_inside_the_first", address) as process:
            assert lines(process, 1) == [f"inside a1 {attempt}"]
        end_leases(address)
    runs = drain(broker, registry)
    assert [run.event_id for run in runs if run.event_id != "b1"] == ["a2", "a3"]
    (letter,) = broker.peek("lined-dlq.fifo")
    assert letter.id == "a1"
    check_integrity(address)


def test_order_holds_whenever_workers_are_killed(
    address: str, broker: Broker, registry: Registry
) -> None:
    names = [f"{group}{number:02}" for number in range(25) for group in "abcd"]
    put(broker, *names)
    dice = random.Random(3)
    said: list[str] = []
    for _ in range(4):
        with child("handle_groups", address) as process:
            said += lines(process, dice.randrange(10, 60))
            process.kill()
            said += rest(process)
        end_leases(address)
    for run in drain(broker, registry):
        said += [f"start {run.event_id}", f"end {run.event_id}", f"acked {run.event_id}"]
    for group in "abcd":
        check_group([line for line in said if line.split()[1][0] == group])
    assert {line.split()[1] for line in said if line.startswith("acked")} <= set(names)
    assert {line.split()[1] for line in said if line.startswith("end")} == set(names)
    assert broker.counts("lined-dlq.fifo").visible == 0
    check_integrity(address)


def check_group(said: list[str]) -> None:
    """Nothing starts before all before it have ended, or after its acknowledgement."""
    ended: list[str] = []
    acked: set[str] = set()
    for line in said:
        what, name = line.split()
        if what == "start":
            assert name not in acked, f"{name} started after its acknowledgement"
            assert name in ended or len(ended) == int(name[1:]), f"{name} started too early"
        elif what == "end" and name not in ended:
            ended.append(name)
        elif what == "acked":
            acked.add(name)
    assert ended == sorted(ended)
