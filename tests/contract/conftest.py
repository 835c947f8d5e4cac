"""Which brokers the contract suite (`taskflow.testing.contract`) runs over here: all that we have.

Where AWS cannot keep to it says aws_differences.py: such a test runs all the same and must fail.
`make contract-moto` runs the suite over the AWS broker in front of moto's server too; where that
differs says moto_differences.py. Beside it stand tests of ours that look behind the protocol.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from taskflow.broker import Broker
from taskflow.brokers.stored import lending
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import SystemClock
from taskflow.config import open_broker
from taskflow.stores.postgres.address import server_of
from taskflow.stores.postgres.store import PostgresStore
from taskflow.testing import ManualClock
from taskflow.testing.contract.differs import Differs
from tests.contract import differences as tables
from tests.contract.wire import SharedClock, aws_broker
from tests.postgres_server import PostgresServer


@pytest.fixture
def clock() -> ManualClock:
    return SharedClock(1000.0)


BROKERS = [
    "memory",
    "sqlite",
    "postgresql",
    "aws",
    *(["moto"] if os.environ.get("TASKFLOW_TEST_MOTO") else []),
]


@pytest.fixture(scope="session")
def postgres_store(postgres: PostgresServer) -> Iterator[PostgresStore]:
    store = PostgresStore(server_of(postgres.address()), clock=SystemClock())
    yield store
    store.close()


@pytest.fixture(params=BROKERS)
def broker(
    request: pytest.FixtureRequest,
    clock: SharedClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Broker]:
    if request.param in ("aws", "moto"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with open_aws(request.param, clock, monkeypatch) as opened:
            yield opened
        return
    if request.param == "postgresql":
        # Each with a store of its own would spend its time on connections.
        store = request.getfixturevalue("postgres_store")
        yield StoredBroker(store, clock=clock, random=random.Random(7))
        request.getfixturevalue("postgres").empty()
        store._declarations.forget()
        store._watermarks.__init__(store._clock)
        return
    address = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/broker.db"
    local = open_broker(address, clock=clock, random=random.Random(7))
    yield local
    local.close()


def open_aws(
    server: str, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> AbstractContextManager[Broker]:
    if server == "aws":
        return aws_broker(clock)
    from tests.contract.moto_server import moto_broker  # slow to import

    return moto_broker(clock, monkeypatch)


@pytest.fixture
def differences(request: pytest.FixtureRequest) -> dict[str, Differs]:
    """What differs in this test over the broker that it runs over."""
    name = request.node.name
    found = tables.find(request.node.callspec.params["broker"], name)
    return {name: found} if found else {}


@pytest.fixture
def begin_own(postgres: PostgresServer) -> Callable[[], AbstractContextManager[object]]:
    """A transaction to the database of the broker at postgresql://."""
    return lambda: psycopg.connect(postgres.address())


@pytest.fixture
def five_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a queue lend five messages at once, where it would lend 120,000."""
    monkeypatch.setattr(lending, "MAX_IN_FLIGHT", 5)
