"""A result is shown to who waits for it only when it is on disk, where the broker promises that."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from taskflow import Broker, Registry, Task, Worker, open_broker, task, wait_all
from taskflow.publisher import using
from taskflow.stores.sqlite import disk_sync


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were synced."""
    synced: list[int] = []
    monkeypatch.setattr(disk_sync, "_to_disk", synced.append)
    return synced


@pytest.fixture
def brokers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Broker, Broker]]:
    """That of who waits, and that of the worker, as in two processes: each with its own file."""
    address = f"sqlite:///{tmp_path}/t.db?durability={request.param}"
    (tmp_path / "alias").symlink_to(tmp_path)
    other = f"sqlite:///{tmp_path}/alias/t.db?durability=process"
    with closing(open_broker(address)) as waits, closing(open_broker(other)) as works:
        yield waits, works


def same_over(broker: Broker) -> tuple[Task[[int], int], Worker]:
    """A task that returns its argument, and its worker."""
    registry = Registry()

    @task(registry=registry, name="t", result="1h")
    def same(x: int) -> int:
        return x

    worker = Worker(broker, registry=registry)
    worker.declare()
    return same, worker


@pytest.mark.parametrize("brokers", ["power"], indirect=True)
def test_a_result_of_another_process_is_on_disk_before_it_is_shown(
    brokers: tuple[Broker, Broker], synced: list[int]
) -> None:
    waits, works = brokers
    t, worker = same_over(works)
    with using(waits):
        results = t.send_many([1, 2, 3])
        one = t.delay(4)
    before = len(synced)
    worker.drain()
    assert len(synced) == before, "ends do not wait for the disk"
    assert one.get(0) == 4
    assert len(synced) == before + 1
    assert one.get(0) == 4
    assert wait_all(results, 0) == [1, 2, 3]
    assert len(synced) == before + 1, "nothing was committed since"


@pytest.mark.parametrize("brokers", ["process"], indirect=True)
def test_where_nothing_is_promised_nobody_waits(
    brokers: tuple[Broker, Broker], synced: list[int]
) -> None:
    waits, works = brokers
    t, worker = same_over(works)
    with using(waits):
        one = t.delay(4)
        worker.drain()
        assert one.get(0) == 4
    assert synced == []
