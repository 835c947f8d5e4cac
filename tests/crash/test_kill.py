"""SIGKILL at every point that matters: nothing lost, nothing half-written."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry, open_broker, publish
from taskflow.broker import Broker
from taskflow.message import FAILURE, Message, plain_text
from taskflow.testing import drain
from taskflow.topology import declare
from tests.crash.processes import (
    check_integrity,
    child,
    end_leases,
    later,
    lines,
    rest,
    until_there,
)

pytestmark = pytest.mark.crash


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/broker.db?durability=process"


@pytest.fixture
def registry() -> Registry:
    """The subscription that the children make too."""
    registry = Registry()

    @registry.subscribe("made", queue="work", retries=2)
    def handle(payload: Any) -> None:
        pass

    return registry


@pytest.fixture
def broker(address: str, registry: Registry) -> Iterator[Broker]:
    opened = open_broker(address)
    declare(opened, registry)
    yield opened
    opened.close()


def test_a_worker_killed_inside_its_handler_loses_nothing(
    address: str, broker: Broker, registry: Registry
) -> None:
    event = publish("made", {"n": 1}, broker=broker)
    with child("die_inside_handler", address) as process:
        assert lines(process, 1) == [f"inside {event} 1"]
    assert broker.counts("work").in_flight == 1
    ahead = later(address, 31)
    (run,) = drain(ahead, registry)
    assert (run.event_id, run.attempt) == (event, 2)
    ahead.close()
    check_integrity(address)


def test_a_message_that_kills_its_worker_each_time_ends_in_the_dlq(
    address: str, broker: Broker, registry: Registry
) -> None:
    event = publish("made", {"n": 1}, broker=broker)
    for attempt in (1, 2, 3):  # retries=2
        with child("die_inside_handler", address) as process:
            assert lines(process, 1) == [f"inside {event} {attempt}"]
        end_leases(address)
    assert drain(broker, registry) == []
    (letter,) = broker.peek("work-dlq")
    assert "never finished" in plain_text(letter.attributes[FAILURE])
    check_integrity(address)


def test_a_worker_killed_between_handler_and_ack_runs_it_again(
    address: str, broker: Broker, registry: Registry
) -> None:
    event = publish("made", {"n": 1}, broker=broker)
    with child("die_before_ack", address) as process:
        assert lines(process, 2) == [f"effect {event} 1", "before-ack"]
    ahead = later(address, 31)
    (run,) = drain(ahead, registry)
    assert (run.event_id, run.attempt, type(run.outcome).__name__) == (event, 2, "Done")
    ahead.close()
    check_integrity(address)


def test_a_worker_killed_after_the_ack_is_done_with_it(
    address: str, broker: Broker, registry: Registry
) -> None:
    event = publish("made", {"n": 1}, broker=broker)
    with child("die_after_ack", address) as process:
        assert lines(process, 2) == [f"effect {event} 1", "acked"]
    ahead = later(address, 31)
    assert drain(ahead, registry) == []
    assert ahead.finished("work", {(event, "made")}) == {(event, "made")}
    ahead.close()
    check_integrity(address)


def test_every_answered_publish_of_a_killed_publisher_is_there(
    address: str, broker: Broker
) -> None:
    dice = random.Random(5)
    said: list[str] = []
    for _ in range(4):
        with child("publish_for_ever", address) as process:
            said += lines(process, dice.randrange(1, 200))
            process.kill()
            said += rest(process)
    stored = {found.id for found in broker.peek("work", 1_000_000)}
    assert set(said) <= stored
    check_integrity(address)


def test_of_a_killed_publishers_batches_each_is_there_as_a_whole_or_not_at_all(
    address: str, broker: Broker
) -> None:
    dice = random.Random(6)
    said: list[str] = []
    for _ in range(4):
        with child("publish_many_for_ever", address) as process:
            said += lines(process, dice.randrange(100, 2000))
            process.kill()
            said += rest(process)
    stored = {found.id for found in broker.peek("work", 1_000_000)}
    assert set(said) <= stored
    batches = Counter((id.split("-")[0], int(id.split("-")[2])) for id in stored)
    assert all(held == count for (_, count), held in batches.items())
    check_integrity(address)


def test_publishers_and_consumers_killed_at_random_lose_nothing(
    address: str, broker: Broker
) -> None:
    broker.publish("made", [Message(f"first-{number}", "x") for number in range(500)])
    said = [f"first-{number}" for number in range(500)]
    deleted: list[str] = []
    dice = random.Random(9)
    for _ in range(3):
        with child("publish_for_ever", address) as maker, child("consume_for_ever", address) as one:
            with child("consume_for_ever", address) as two:
                deleted += lines(two, dice.randrange(20, 150))
                two.kill()
                deleted += rest(two)
            deleted += lines(one, dice.randrange(20, 150))
            for process in (maker, one):
                process.kill()
            said += rest(maker)
            deleted += rest(one)
    held = {found.id for found in broker.peek("work", 1_000_000)}
    gone = {key for key, _ in broker.finished("work", {(id, "made") for id in said})}
    assert set(said) <= held | gone, "lost"
    assert not held & set(deleted), "back after an answered delete"
    assert len(deleted) == len(set(deleted)), "deleted twice"
    check_integrity(address)


HANDLERS = """
import os
from taskflow import subscribe

@subscribe("made", queue="work", retries=2, visibility_timeout=1)
def handle(payload: object) -> None:
    if payload == "deadly":
        os._exit(9)
    print("handled", payload, flush=True)
"""


def test_supervised_workers_survive_a_deadly_message_and_a_kill(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(HANDLERS)
    address = f"sqlite:///{tmp_path}/broker.db?durability=process"
    command = [sys.executable, "-m", "taskflow.cli", "worker", "work", "--module", "shop"]
    with subprocess.Popen(
        [*command, "--processes", "2", "--concurrency", "1", "--broker", address],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            opened = open_broker(address)
            opened.create_topic("made")
            until_there(opened, "work")
            publish("made", "deadly", broker=opened)
            for number in range(20):
                publish("made", number, broker=opened)
            said = lines(process, 20)
            until_there(opened, "work-dlq", 1)
        finally:
            process.terminate()
            assert process.wait(30) == 0
    assert {f"handled {number}" for number in range(20)} <= set(said)
    (letter,) = opened.peek("work-dlq")
    assert "never finished" in plain_text(letter.attributes[FAILURE])
    assert opened.counts("work").visible == opened.counts("work").in_flight == 0
    opened.close()
    check_integrity(address)
