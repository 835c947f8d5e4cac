"""The order API in-process, over a database file, a payment double and a broker in memory."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import falcon.testing
import pytest
from sqlalchemy import Engine

from services.database import open_database
from services.order.api import create_app
from services.order.repository import OrderRepository
from services.order.service import TOPICS, OrderService
from services.order.status import HealthResource, StatsResource, check_outbox
from services.order.tables import metadata
from taskflow.outbox import Relay, SqlAlchemy
from taskflow.testing import ManualClock, memory_broker
from tests.services.order.doubles import FakePayments, Store


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'order.db'}", metadata)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> Iterator[Store]:
    clock = ManualClock()
    broker = memory_broker(clock=clock)
    for topic in TOPICS:
        broker.create_topic(topic)
    repository, payments = OrderRepository(engine), FakePayments()
    relay = Relay(SqlAlchemy(engine), broker)
    outbox = relay.outbox
    ids = count(1)
    service = OrderService(
        repository, payments, clock, lambda prefix: f"{prefix}_{next(ids)}", relay.wake, 5.0
    )
    health = HealthResource(
        {
            "database": repository.ping,
            "broker": broker.queues,
            "outbox": lambda: check_outbox(outbox),
        }
    )
    stats = StatsResource(repository, outbox, broker, clock)
    app = create_app(service, health, stats, {"falconframework.org"})
    client = falcon.testing.TestClient(app)
    yield Store(client, service, repository, outbox, relay, payments, broker, clock)
    broker.close()
