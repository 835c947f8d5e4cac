"""Ctrl-C at each place of each verb that takes the lock of a file: the lock is let go, nothing is
left open, and a verb that takes it anew is seen here."""

import ast
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import apsw
import pytest

import taskflow.stores.sqlite
from taskflow import open_broker
from taskflow.broker import Finish
from taskflow.broker.change import Change, Put
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import FileReplaced
from taskflow.event import Event
from taskflow.message import new_id
from taskflow.publisher import publish as send
from taskflow.publisher import publish_many as send_many
from taskflow.stores.sqlite.store import SqliteStore
from tests.taskflow.stores.test_ctrl_c import at_place, strike
from tests.taskflow.stores.test_ctrl_c import struck as in_some
from tests.taskflow.test_condition import held_by_others

MANY = 2000
Verb = Callable[[StoredBroker], object]


struck = partial(in_some, where="taskflow.stores.sqlite")
"""In all modules of the store."""


@pytest.fixture(params=["power", "process"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoredBroker]:
    made = open_broker(f"sqlite:///{tmp_path}/broker.db?durability={request.param}")
    assert isinstance(made, StoredBroker)
    made.create_queue("work")
    made.create_topic("made")
    made.subscribe("made", "work")
    yield made
    made.close()


def store_of(broker: StoredBroker) -> SqliteStore:
    store = broker.store
    assert isinstance(store, SqliteStore)
    return store


def publish(broker: StoredBroker) -> None:
    send("made", {}, broker=broker)


def publish_anew(broker: StoredBroker) -> None:
    """Where the short way is not prepared."""
    way = broker.publish.__self__.plain  # type: ignore[attr-defined]
    way._connection = None
    publish(broker)


def learn(broker: StoredBroker) -> None:
    row = store_of(broker).look(lambda rows: rows.queue("work"))
    way = broker.publish.__self__.plain  # type: ignore[attr-defined]
    way.learn("made", row)


def prepare(broker: StoredBroker) -> None:
    store_of(broker).plain_keeping().prepare()


def gather(broker: StoredBroker) -> None:
    store = store_of(broker)
    broker.gathered([lambda: store.transact(lambda rows: rows.tally(1, 1, 0))] * 2, 1.0)


def keep(broker: StoredBroker) -> None:
    """A checkpoint, the short way."""
    (held,) = broker.receive("work")
    change = Change(fence=held, records=[Put(kind="step", key=held.id, value="1", expected=0)])
    broker.apply([change])


def publish_many(broker: StoredBroker) -> None:
    made: list[Event[object]] = [
        Event(id=new_id(1.0, broker.random), topic="made", payload={}, time=1.0) for _ in "ab"
    ]
    send_many(made, broker=broker)


def look(broker: StoredBroker) -> None:
    """At what has just arrived, which is taken over."""
    publish(broker)
    assert store_of(broker).look(lambda rows: rows.queues()) == ["work"]


def step(broker: StoredBroker) -> None:
    publish(broker)
    store_of(broker).step(lambda rows: rows.tally(1, 1, 0))


def look_gathered(broker: StoredBroker) -> None:
    publish(broker)
    broker.gathered([lambda: store_of(broker).look(lambda rows: rows.queues())] * 2, 1.0)


VERBS: dict[str, Verb] = {
    "version": lambda broker: store_of(broker).version(),
    "sync": lambda broker: store_of(broker).sync(),
    "sync of all": lambda broker: store_of(broker).sync(everybodys=True),
    "sync_file": lambda broker: store_of(broker).sync_file(),
    "transact": lambda broker: store_of(broker).transact(
        lambda rows: rows.tally(1, 1, 0), durable=True
    ),
    "within": lambda broker: store_of(broker).within(lambda sql: None),
    "check": lambda broker: store_of(broker).check(),
    "publish": publish,
    "publish anew": publish_anew,
    "learn": learn,
    "prepare": prepare,
    "gather": gather,
    "keep": keep,
    "publish_many": publish_many,
    "look": look,
    "step": step,
    "look in a gathering": look_gathered,
}


@pytest.mark.parametrize("name", VERBS)
def test_whoever_comes_next_is_served(name: str, broker: StoredBroker, tmp_path: Path) -> None:
    store, verb = store_of(broker), VERBS[name]
    publish(broker)
    publish(broker)  # the short way
    for number in range(MANY):
        if not struck(number, lambda: verb(broker)):
            break
        where = f"at place {number}"
        assert not held_by_others(store._writing.lock), where  # type: ignore[arg-type]
        assert store._database.connection.get_autocommit(), where
        assert not store.in_haste(), where
        disk = store._durability.disk
        if (disk := store._durability.disk) is not None:
            assert not disk._syncing, where
            assert not held_by_others(disk._lock), where  # type: ignore[arg-type]
        with closing(apsw.Connection(str(tmp_path / "broker.db"))) as other:  # so that a look of
            other.execute("UPDATE queue SET handled = handled + 1")  # before would be an old one
        publish(broker)
        store.transact(lambda rows: rows.tally(1, 1, 0), durable=True)
        with closing(apsw.Connection(str(tmp_path / "broker.db"))) as other:
            other.execute("BEGIN IMMEDIATE; ROLLBACK")
    assert number < MANY


@pytest.mark.parametrize("rung", [False, True])
def test_a_lone_message_that_is_not_lent_to_the_end_keeps_nobody(
    broker: StoredBroker, tmp_path: Path, rung: bool
) -> None:
    """Its lease is one statement, which is a transaction until it is over."""
    store = store_of(broker)
    take_lone = broker.receive.__self__.take_lone  # type: ignore[attr-defined]
    publish(broker)
    broker.delete([Finish(one) for one in broker.receive("work")])  # then its row is known
    for number in range(MANY):
        publish(broker)
        if not rung:
            store.look(lambda rows: None)  # it is taken over
        if not struck(number, lambda: take_lone("work", None, None, rung)):
            break
        where = f"at place {number}"
        assert not held_by_others(store._writing.lock), where  # type: ignore[arg-type]
        assert store._database.connection.get_autocommit(), where
        broker.delete([Finish(one) for one in broker.receive("work")])
        with closing(apsw.Connection(str(tmp_path / "broker.db"))) as other:
            other.execute("BEGIN IMMEDIATE; ROLLBACK")
    assert 10 < number < MANY


@pytest.mark.parametrize("where", ["a look", "own SQL"])
def test_who_keeps_the_traceback_keeps_nobody(
    broker: StoredBroker, tmp_path: Path, where: str
) -> None:
    """As the interactive Python does: its frames hold what was asked, and not heard to the end."""
    store = store_of(broker)
    publish(broker)
    publish(broker)

    def ask() -> None:
        if where == "a look":
            store.look(lambda rows: rows.topics())
        else:
            store.within(lambda sql: list(sql.execute("SELECT name FROM topic")))

    for number in range(MANY):
        kept: BaseException | None = None
        try:
            more = at_place(number, ask, strike, "taskflow.stores.sqlite")
        except KeyboardInterrupt as error:
            kept, more = error, True
        with closing(apsw.Connection(str(tmp_path / "broker.db"))) as other:
            other.execute("UPDATE queue SET handled = handled + 1")
        publish(broker)
        assert store._database.connection.txn_state() == 0, f"at place {number}"
        if not more:
            break
        assert kept is not None
    assert 10 < number < MANY


@pytest.mark.slow
def test_whoever_comes_next_has_the_file_that_took_its_place(tmp_path: Path) -> None:
    """When Ctrl-C came while that was opened."""

    def check(store: SqliteStore) -> None:
        with suppress(FileReplaced):
            store.check()

    for number in range(MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        store = SqliteStore(folder / "broker.db", durable=False)
        for file in folder.glob("broker.db*"):
            file.unlink()
        was_struck = struck(number, partial(check, store))
        assert not held_by_others(store._writing.lock), f"at place {number}"  # type: ignore[arg-type]
        check(store)
        store.transact(lambda rows: rows.tally(1, 1, 0))
        store.close()
        if not was_struck:
            break
    assert 10 < number < MANY


def blocks(path: Path) -> Iterator[str]:
    """The functions of a module that take the lock of a connection by a block of it."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.With) and any(
                    ast.unparse(item.context_expr).rpartition(".")[2].strip("_")
                    in ("reading", "writing")
                    for item in node.items
                ):
                    yield function.name


def test_no_other_function_takes_the_lock_by_a_block() -> None:
    """But by `Reading.run`, or the lock itself; whoever adds one strikes it above, too."""
    folder = Path(taskflow.stores.sqlite.__file__).parent
    found = {
        f"{path.name}: {name}"
        for path in folder.glob("*.py")
        if path.name != "transaction.py"
        for name in blocks(path)
    }
    assert found == {"store.py: _transact", "store.py: _ask", "shared_commit.py: store"}
