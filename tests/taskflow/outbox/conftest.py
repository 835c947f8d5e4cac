"""An outbox in a database file, by SQLAlchemy and by Django, and a broker that may fail."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from taskflow import outbox
from taskflow.broker.settings import Published
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.testing import ManualClock, memory_broker
from tests.taskflow.django_settings import configure

Begin = Callable[[], AbstractContextManager[Any]]


class FlakyBroker:
    """Fails as long as it is told to; keeps what it was given, and says when it was asked."""

    max_message_bytes = 1024 * 1024

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.down: BaseException | None = None
        self.crash_after_publish = False
        self.unheard: set[str] = set()
        self.attempts: Queue[None] = Queue()
        self.got: list[str] = []
        self.published = threading.Event()

    def publish(self, topic: str, messages: Sequence[Message]) -> Published:
        self.attempts.put(None)
        if self.down is not None:
            raise self.down
        if topic in self.unheard:
            return Published(0, [])
        self.got += [f"{topic} {message.id}" for message in messages]
        self.published.set()
        if self.crash_after_publish:
            raise KeyboardInterrupt
        return Published(1, [])

    def fail(self) -> None:
        self.down = BrokerUnavailable("no broker")

    def take_attempt(self) -> None:
        """Wait until it is asked once more."""
        self.attempts.get(timeout=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> FlakyBroker:
    return FlakyBroker(clock)


@pytest.fixture
def real_broker(clock: ManualClock) -> Iterator[Any]:
    opened = memory_broker(clock=clock)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlalchemy", "django"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Begin]]:
    """The relay's database, and a transaction of the application's: a session to publish with."""
    if request.param == "sqlalchemy":
        engine = create_engine(f"sqlite:///{tmp_path}/app.db")
        with engine.begin() as connection:
            outbox.create_table(connection)

        def begin() -> Any:
            return _session(engine)

        yield outbox.SqlAlchemy(engine), begin
        engine.dispose()
        return
    configure()
    from django.db import connections, transaction

    connections["default"].close()
    connections["default"].settings_dict["NAME"] = f"{tmp_path}/django.db"

    class Atomic:
        def __enter__(self) -> Any:
            self._atomic = transaction.atomic()
            self._atomic.__enter__()
            return connections["default"]

        def __exit__(self, *error: Any) -> None:
            self._atomic.__exit__(*error)

    with Atomic() as connection:
        outbox.create_table(connection)
    yield outbox.Django(), Atomic
    connections["default"].close()


def _session(engine: Any) -> Any:
    class Opened:
        def __enter__(self) -> Session:
            self._session = Session(engine)
            self._begun = self._session.begin()
            self._begun.__enter__()
            return self._session

        def __exit__(self, *error: Any) -> None:
            self._begun.__exit__(*error)
            self._session.close()

    return Opened()
