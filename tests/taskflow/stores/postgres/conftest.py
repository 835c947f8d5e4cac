"""A broker over a private server, and what an application may reach the same server with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import Any

import psycopg
import psycopg2
import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from taskflow.broker import Broker, QueueSettings
from taskflow.config import open_broker
from taskflow.testing import ManualClock
from tests.postgres_server import PostgresServer
from tests.taskflow.django_settings import configure

Begin = Callable[[], AbstractContextManager[Any]]
"""A transaction of the application's: what `connection=` is; committed at the end of the block."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def broker(postgres: PostgresServer, clock: ManualClock) -> Iterator[Broker]:
    opened = open_broker(postgres.address(), clock=clock, random=Random(7))
    opened.create_topic("made")
    opened.create_queue("work", QueueSettings())
    opened.subscribe("made", "work")
    yield opened
    opened.close()
    postgres.empty()


def engine_of(server: PostgresServer, driver: str = "psycopg") -> Any:
    url = URL.create(
        f"postgresql+{driver}", "taskflow", database="postgres", query={"host": server.host}
    )
    return create_engine(url, poolclass=NullPool)


@contextmanager
def _driver(server: PostgresServer, module: Any) -> Iterator[Any]:
    opened = module.connect(server.address())
    try:
        yield opened
        opened.commit()
    finally:
        opened.close()  # undoes what was not committed


@contextmanager
def _pipeline(server: PostgresServer) -> Iterator[Any]:
    with _driver(server, psycopg) as opened, opened.pipeline():
        yield opened


@contextmanager
def _manual(alias: str) -> Iterator[None]:
    """Django's AUTOCOMMIT of False: transactions begin by themselves."""
    from django.db import transaction

    transaction.set_autocommit(False, using=alias)
    try:
        yield
        transaction.commit(using=alias)
    finally:
        transaction.rollback(using=alias)


@contextmanager
def _django(server: PostgresServer, manual: bool = False) -> Iterator[Any]:
    configure()
    from django.db import connections, transaction

    connections.settings["pg"] = connections.configure_settings(
        {
            "default": {},
            "pg": {
                "ENGINE": "django.db.backends.postgresql",
                **{"NAME": "postgres", "USER": "taskflow", "HOST": server.host},
            },
        }
    )["pg"]
    try:
        with _manual("pg") if manual else transaction.atomic(using="pg"):
            yield connections["pg"]
    finally:
        connections["pg"].close()
        del connections["pg"], connections.settings["pg"]


DRIVERS = (
    *("psycopg", "pipeline", "psycopg2", "session", "session-psycopg2", "scoped", "connection"),
    *("django", "django-manual"),
)


@pytest.fixture(params=DRIVERS)
def begin(request: pytest.FixtureRequest, postgres: PostgresServer) -> Begin:
    match request.param:
        case "psycopg":
            return lambda: _driver(postgres, psycopg)
        case "psycopg2":
            return lambda: _driver(postgres, psycopg2)
        case "pipeline":
            return lambda: _pipeline(postgres)
        case "django" | "django-manual" as found:
            return lambda: _django(postgres, found == "django-manual")
        case "connection":
            return lambda: engine_of(postgres).begin()
        case "scoped":
            return lambda: _scoped(engine_of(postgres))
    engine = engine_of(postgres, request.param.partition("-")[2] or "psycopg")
    return lambda: _session(engine)


@contextmanager
def _scoped(engine: Any) -> Iterator[Any]:
    """As Flask-SQLAlchemy's `db.session`."""
    session = scoped_session(sessionmaker(engine))
    try:
        with session.begin():
            yield session
    finally:
        session.remove()


@contextmanager
def _session(engine: Any) -> Iterator[Session]:
    with Session(engine) as session, session.begin():
        yield session
