"""Ctrl-C in the midst of what is stored: it is undone or made, and whoever comes next is served."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import apsw
import pytest

from taskflow.broker import QueueSettings
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.store import SqliteStore
from tests.taskflow.test_condition import held_by_others

MANY = 1000
_WHERE = (
    "taskflow.stores.sqlite.transaction",
    "taskflow.stores.sqlite.read_block",
    "taskflow.stores.sqlite.store",
)


def at_place(
    number: int, work: Callable[[], object], act: Callable[[], object], where: str | tuple[str, ...]
) -> bool:
    """Do `work`, and `act` at the number-th place where Python looks for signals, in the modules
    whose names begin so: where a function begins, and after the call of one that is C. False when
    it had fewer."""
    left = number

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        module = str(frame.f_globals.get("__name__"))
        if event in ("call", "c_return") and module.startswith(where):
            left -= 1
            if left < 0:
                sys.setprofile(before)
                act()

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return left < 0


def strike() -> None:
    raise KeyboardInterrupt


def struck(number: int, work: Callable[[], object], where: str | tuple[str, ...] = _WHERE) -> bool:
    """Do `work`, and strike Ctrl-C `at_place`. False when it had fewer."""
    try:
        at_place(number, work, strike, where)
    except KeyboardInterrupt:
        return True
    return False


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    store.transact(lambda rows: rows.put_queue("work", QueueSettings(), 1.0))
    yield store
    store.close()


def handled(path: Path) -> int:
    """As another process reads it."""
    with closing(apsw.Connection(str(path))) as connection:
        found: int = connection.execute("SELECT handled FROM queue").get
    return found


def count(store: SqliteStore) -> None:
    store.transact(lambda rows: rows.tally(1, 1, 0))


def count_within(store: SqliteStore) -> None:
    """In a block within another one."""

    def work(_: Rows) -> None:
        count(store)

    store.transact(work)


def step(store: SqliteStore) -> None:
    store.step(lambda rows: rows.tally(1, 1, 0))


def look(store: SqliteStore) -> None:
    store.look(lambda rows: rows.queues())


@pytest.mark.parametrize("work", [count, count_within, step, look])
def test_whoever_comes_next_is_served(
    work: Callable[[SqliteStore], None], store: SqliteStore, tmp_path: Path
) -> None:
    path, before = tmp_path / "broker.db", 0
    for number in range(MANY):
        if not struck(number, lambda: work(store)):
            break
        assert not held_by_others(store._writing.lock)  # type: ignore[arg-type]
        now = handled(path)
        assert now in (before, before + 1)
        count(store)
        before = handled(path)
        assert before == now + 1
    assert 3 < number < MANY


def test_a_transaction_whose_beginning_fails_is_none(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise apsw.IOError("the disk cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(store._writing.rows, "begun", fail)
        with pytest.raises(Exception, match="cannot be read"):
            count(store)
    count(store)
    assert handled(tmp_path / "broker.db") == 1
