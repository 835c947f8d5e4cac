"""Two brokers on one clock, from one store to another."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskflow import Broker
from taskflow.config import open_broker
from taskflow.testing import ManualClock

Pair = tuple[Broker, Broker]
Open = Callable[[str], Broker]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def opened(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Open]:
    """Open a broker by a short name: `memory`, so many `files`, or a schema of the PostgreSQL
    server."""
    brokers: list[Broker] = []

    def open_one(name: str) -> Broker:
        address = "memory://"
        if name.endswith("files"):
            files = name.partition(" ")[0]
            address = f"sqlite:///{tmp_path}/{len(brokers)}.db?shards={files}&durability=process"
        elif name != "memory":
            address = request.getfixturevalue("postgres").address(schema=name)
        seeded = random.Random(len(brokers))
        brokers.append(open_broker(address, clock=clock, random=seeded))
        return brokers[-1]

    yield open_one
    for broker in brokers:
        broker.close()
    if "postgres" in request.fixturenames:
        request.getfixturevalue("postgres").empty()


WAYS = (
    "memory>memory",
    "memory>taskflow",
    "taskflow>memory",
    "taskflow>other",
    "memory>3 files",
    "3 files>memory",
    "3 files>2 files",
    "3 files>taskflow",
    "taskflow>3 files",
)


@pytest.fixture(params=WAYS)
def pair(request: pytest.FixtureRequest, opened: Open) -> Pair:
    """Where messages wait, and where they are to go."""
    source, _, target = request.param.partition(">")
    return opened(source), opened(target)
