"""Another server at the same address, a foreign NOTIFY, and what libpq's own variables say."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from taskflow.brokers.stored.broker import StoredBroker
from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.stores.postgres.connecting import _with_own
from taskflow.stores.postgres.database_clock import DatabaseClock
from taskflow.stores.postgres.store import PostgresStore, channel_of
from tests.postgres_server import PostgresServer

WAIT = 30.0


@pytest.fixture
def broker(postgres: PostgresServer) -> Iterator[StoredBroker]:
    opened = open_broker(postgres.address())
    assert isinstance(opened, StoredBroker)
    opened.create_queue("q")
    yield opened
    opened.close()
    postgres.empty()


def clock_of(broker: StoredBroker) -> DatabaseClock:
    """The one that the broker goes by, having asked."""
    store: Any = broker.core.store
    assert isinstance(store, PostgresStore)
    broker.core.now()
    (clock,) = store._clocks
    assert clock._asked_at is not None
    return clock


# ---- time ---------------------------------------------------------------------------------------
def test_a_connection_to_another_server_asks_it_for_the_time(broker: StoredBroker) -> None:
    """Also where none to the old one was lost: those of a process that leaves are closed."""
    clock = clock_of(broker)
    clock._ahead += 1000.0  # of the old one
    wrong = broker.core.now()
    store: Any = broker.core.store
    kept = store._declarations.kept
    broker.hurry()
    store._executor._who = ("2001-01-01", None, None)  # it was another one
    broker.send("q", [Message("a", "x")])
    assert wrong - broker.core.now() > 900
    assert store._declarations.kept is not kept


def test_one_to_the_same_server_asks_nothing(broker: StoredBroker) -> None:
    clock = clock_of(broker)
    asked_at = clock._asked_at
    broker.hurry()
    broker.send("q", [Message("a", "x")])
    assert clock._asked_at == asked_at


def test_who_listens_and_loses_its_connection_asks_anew(
    broker: StoredBroker, postgres: PostgresServer
) -> None:
    clock = clock_of(broker)
    store: Any = broker.core.store
    store.listen()
    number = store._ear._connection.info.backend_pid
    with psycopg.connect(postgres.address(), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (number,))
    while store._ear._connection is not None:  # a ring may come before it
        store.hear(WAIT)
    assert clock._asked_at is None


# ---- notices ------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["", "hello", "7", '{"q": 1}', "[[1]]", "[" * 3000])
def test_a_notice_of_somebody_else_is_ignored_and_told_of_once(
    broker: StoredBroker,
    postgres: PostgresServer,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store: Any = broker.core.store
    store.listen()
    caplog.set_level(logging.WARNING)
    with psycopg.connect(postgres.address(), autocommit=True) as other:
        for one in (text, text, '["q"]'):
            other.execute("SELECT pg_notify(%s, %s)", (channel_of("taskflow"), one))
    heard: set[str] = set()
    while "q" not in heard:
        heard |= {*store.hear(WAIT)}
    assert heard == {"q"}
    assert caplog.text.count("none of taskflow's") == 1


def test_who_waits_hears_on_after_it(broker: StoredBroker, postgres: PostgresServer) -> None:
    found: list[str] = []

    def receive() -> None:
        found.extend(one.id for one in broker.receive("q", wait=20))

    waits = threading.Thread(target=receive)
    waits.start()
    with psycopg.connect(postgres.address(), autocommit=True) as other:
        other.execute("SELECT pg_notify(%s, 'no JSON')", (channel_of("taskflow"),))
    broker.send("q", [Message("a", "x")])
    waits.join(WAIT)
    assert found == ["a"]


# ---- libpq's own variables ----------------------------------------------------------------------
@pytest.mark.parametrize("said", ["any", "prefer-standby", "read-write"])
def test_variables_of_libpq_are_honoured(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    assert _with_own("host=a", {})["target_session_attrs"] == "read-write"
    monkeypatch.setenv("PGTARGETSESSIONATTRS", said)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    own = _with_own("host=a", {})
    assert not {"target_session_attrs", "connect_timeout"} & own.keys()
    assert own["keepalives_idle"] == 30


def test_so_is_a_service_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "services").write_text("[shop]\nhost=a\ntarget_session_attrs=standby\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGSERVICE", "shop")
    assert "target_session_attrs" not in _with_own("dbname=shop", {})


def test_what_the_variable_asks_for_is_said_where_it_is_in_vain(
    broker: StoredBroker, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    with pytest.raises(Exception, match=r"cannot be reached|standby"):
        open_broker(postgres.address())
