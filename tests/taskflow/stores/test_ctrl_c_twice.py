"""Ctrl-C that comes once more while what was interrupted is undone, as where whoever runs a program
passes on what the terminal sends it, too: no lock is kept, and what is stored then is stored."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

from taskflow.brokers.stored.broker import StoredBroker
from taskflow.stores.rows import Rows
from tests.taskflow.stores.test_ctrl_c import handled
from tests.taskflow.stores.test_ctrl_c_everywhere import (
    MANY,
    VERBS,
    Verb,
    broker,
    publish,
    store_of,
)
from tests.taskflow.test_condition import held_by_others

__all__ = ["broker"]

STORE = "taskflow.stores.sqlite"
LONGEST = 100  # places between the one and the other


def struck_twice(first: int, second: int, work: Callable[[], object]) -> int:
    """As `test_ctrl_c.struck`, and once more so many places later; answers how often."""
    left = [first, second]
    strikes = 0

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal strikes
        module = str(frame.f_globals.get("__name__"))
        if strikes < 2 and event in ("call", "c_return") and module.startswith(STORE):
            left[strikes] -= 1
            if left[strikes] < 0:
                strikes += 1
                raise KeyboardInterrupt  # which ends the profile

    def again(frame: FrameType, event: str, argument: object) -> Any:
        if strikes == 1 and sys.getprofile() is None and frame.f_code is not look.__code__:
            sys.setprofile(look)
        return again

    before = sys.getprofile(), sys.gettrace()
    sys.settrace(again)
    sys.setprofile(look)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before[1])
        sys.setprofile(before[0])
    return strikes


def stored(path: Path) -> int:
    """How many messages another process finds."""
    with closing(apsw.Connection(str(path))) as other:
        text = "SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM arrival)"
        found: int = other.execute(text).get
    return found


def count(broker: StoredBroker) -> None:
    store_of(broker).step(lambda rows: rows.tally(1, 1, 0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transact", "look", "step", "publish", "gather", "keep"])
def test_no_lock_is_kept_and_what_is_stored_next_is_stored(
    name: str, broker: StoredBroker, tmp_path: Path
) -> None:
    store, verb, path = store_of(broker), VERBS[name], tmp_path / "broker.db"
    publish(broker)
    publish(broker)  # the short way
    both = 0
    for first in range(MANY):
        strikes = 0
        for second in range(LONGEST):
            strikes = struck_twice(first, second, lambda: verb(broker))
            where = f"at places {first} and {second}"
            assert not held_by_others(store._writing.lock), where  # type: ignore[arg-type]
            assert not store.in_haste(), where
            before, counted = stored(path), handled(path)
            for next_one in (publish, count)[:: 1 if second % 2 else -1]:
                next_one(broker)
            assert stored(path) > before, where
            assert handled(path) > counted, where
            if strikes < 2:
                break
            both += 1
        if not strikes:
            break
    assert first < MANY
    assert second < LONGEST
    assert both > 20 or name == "publish"  # which has nothing to undo where no disk is waited for


def test_it_is_undone_in_a_process_that_has_changed_nothing_else(
    broker: StoredBroker, tmp_path: Path
) -> None:
    """As in a fork, whose first publishes several threads had stored together."""
    store, path = store_of(broker), tmp_path / "broker.db"
    publish(broker)
    publish(broker)
    store._writing._owner_pid = 0
    store._database.connection.execute("BEGIN IMMEDIATE")
    before = stored(path)
    publish(broker)
    assert stored(path) > before


def leave_behind(broker: StoredBroker) -> None:
    """A transaction, as the second Ctrl-C does."""
    writing = store_of(broker)._writing
    writing.__enter__()
    writing.lock.release()


def test_a_fork_has_nothing_of_what_was_left(broker: StoredBroker, tmp_path: Path) -> None:
    publish(broker)
    publish(broker)
    before = stored(tmp_path / "broker.db")
    leave_behind(broker)
    child = os.fork()
    if not child:
        try:
            publish(broker)
            publish(broker)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    publish(broker)
    assert stored(tmp_path / "broker.db") == before + 3


def test_what_is_begun_is_not_taken_for_left_by_what_is_gathered_within(
    broker: StoredBroker, tmp_path: Path
) -> None:
    def work(rows: Rows) -> None:
        rows.tally(1, 1, 0)
        with pytest.raises(AssertionError):
            broker.gathered([])

    store_of(broker).transact(work)
    assert handled(tmp_path / "broker.db") == 1
    assert not held_by_others(store_of(broker)._writing.lock)  # type: ignore[arg-type]


def fail(*_: object) -> None:
    raise KeyError("of no store")


FAILS: dict[str, Verb] = {
    "transact": lambda broker: store_of(broker).transact(fail),
    "look": lambda broker: store_of(broker).look(fail),
    "run": lambda broker: store_of(broker)._reading.run(fail),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_lock_that_another_thread_has_meanwhile_stays_its(
    name: str, broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever fails has let it go by the end of its block, and releases it once more in the end."""
    store = store_of(broker)
    let_go, has, end = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        assert let_go.wait(30)
        with store._reading.lock:
            has.set()
            assert end.wait(30)

    def meanwhile(_: BaseException) -> None:
        let_go.set()
        assert has.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    for block in (store._reading, store._writing):
        monkeypatch.setattr(block, "let_go", meanwhile)
    try:
        with pytest.raises(KeyError):
            FAILS[name](broker)
        assert not store._reading.lock.acquire(blocking=False)
    finally:
        end.set()
        other.join()
