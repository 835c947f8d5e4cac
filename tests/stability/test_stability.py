"""What a release has written, this one goes on with: docs/stability.md."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow import Broker, Result, Worker, open_broker, publish, schedules
from taskflow.errors import RunFailed
from taskflow.publisher import using
from taskflow.testing import ManualClock
from taskflow.workflows.workflow_result import WorkflowResult
from tests.stability.application import STARTED, heard, kept

RELEASES = sorted(Path(__file__).parent.glob("*.sql"))
RESULT = re.compile(r"^-- (\w+) (\S+)$", re.MULTILINE)


@pytest.fixture(params=RELEASES, ids=lambda path: path.stem)
def text(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(STARTED + 200)


@pytest.fixture
def broker(text: str, clock: ManualClock, tmp_path: Path) -> Iterator[Broker]:
    connection = sqlite3.connect(tmp_path / "broker.db")
    connection.executescript(text)
    connection.close()
    heard.clear()
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db?durability=process", clock=clock)
    with using(broker):
        yield broker
    broker.close()


def test_a_file_of_each_release_is_worked_on(text: str, broker: Broker, clock: ManualClock) -> None:
    results = {name: Result(id, returns=object) for name, id in RESULT.findall(text)}
    assert results["done"].get() == 3
    assert results["later"].state == "scheduled"
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        results["failed"].get()
    assert results["run"].state == "suspended"
    (letter,) = broker.peek("audit-dlq")
    assert "ValueError: no such order" in str(letter.attributes)
    WorkflowResult("order-7").signal("picked.up", "dpd")
    publish("order.created", {"id": "done"}, id="evt_done")
    worker = Worker(broker, registry=kept)
    worker.drain()
    assert results["run"].get() == "order-7 is reserved, by dpd"
    assert results["waits"].get() == 22
    assert results["chord"].get() == 6
    booked = [one for one in heard if one.startswith("booked")]
    assert booked == ["booked first", "booked second"]
    assert set(heard) - set(booked) == {"waits of shop, attempt 1"}  # and nothing that was done
    clock.advance(7200)
    worker.drain()
    assert results["later"].get() == 6
    assert heard[-1] == "tick"
    assert [one.name for one in schedules.list().schedules] == ["hourly"]
