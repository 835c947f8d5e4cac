"""A pooler of transactions that the address does not tell of: the server that prepared a statement
is not the one that is to run it."""

from collections.abc import Iterator

import pytest

from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.errors import BrokerUnavailable
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.store import PostgresStore
from tests.postgres_server import PostgresServer


@pytest.fixture
def brokers(postgres: PostgresServer) -> Iterator[list[StoredBroker]]:
    """Two that know nothing of each other, and have asked something."""
    opened = []
    for _ in range(2):
        broker = open_broker(postgres.address())
        assert isinstance(broker, StoredBroker)
        broker.topics()
        opened.append(broker)
    yield opened
    for broker in opened:
        broker.close()
    postgres.empty()


def sessions(broker: StoredBroker) -> list[Session]:
    store = broker.store
    assert isinstance(store, PostgresStore)
    return [one for free in store._executor._free.values() for one in free]


def prepared(broker: StoredBroker) -> set[str]:
    asked = "SELECT name FROM pg_prepared_statements"
    return {
        name for one in sessions(broker) for (name,) in one.connection.execute(asked).fetchall()
    }


def test_nobody_runs_what_another_process_prepared(brokers: list[StoredBroker]) -> None:
    first, second = map(prepared, brokers)
    assert first
    assert second
    assert not first & second


def test_the_error_says_what_the_address_lacks(brokers: list[StoredBroker]) -> None:
    for session in sessions(brokers[0]):
        session.connection.execute("DEALLOCATE ALL")
    with pytest.raises(BrokerUnavailable, match=r"a pooler is between .* \?pooled=true"):
        brokers[0].topics()


def test_what_is_prepared_no_longer_is_prepared_anew(brokers: list[StoredBroker]) -> None:
    for session in sessions(brokers[0]):
        session.connection.execute("DISCARD ALL")
    with pytest.raises(BrokerUnavailable, match="nothing was done"):
        brokers[0].topics()
    assert brokers[0].topics() == brokers[1].topics()
