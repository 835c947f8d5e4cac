"""What several threads publish at once is one transaction, and each hears of its own."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

import apsw
import pytest

from taskflow.errors import BrokerFileError, BrokerUnavailable
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.stores.sqlite.shared_commit import MOST
from tests.taskflow.stores.test_plain_way import Made

SECONDS = 10.0


class Threads:
    """Publish at once, while the test holds the lock that they want; what each was answered."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.answers: list[Any] = []
        made.random.getrandbits = Random(1).getrandbits  # type: ignore[assignment]  # another at each call
        self._came = threading.Semaphore(0)
        way = cast(SqlitePlainWay, made.way)
        self.shared = way._shared

        class Waiting(deque[Any]):
            def append(waiting, one: Any) -> None:
                super().append(one)
                self._came.release()

        self.shared._waiting = Waiting()

    @contextmanager
    def all_wait(self, count: int) -> Iterator[None]:
        """In the block they are here, and have brought what they publish."""
        threads = [threading.Thread(target=self._publish, args=(n,)) for n in range(count)]
        with self.made.store._database.reading:
            for thread in threads:
                thread.start()
                assert self._came.acquire(timeout=SECONDS)
            yield
        for thread in threads:
            thread.join(SECONDS)
        assert len(self.answers) == count

    def _publish(self, number: int) -> None:
        try:
            self.answers.append(self.made.publish(f"number {number}"))
        except BaseException as error:
            self.answers.append(error)

    def numbers(self) -> list[int]:
        """Of what is stored."""
        bodies = [body for body in self.made.bodies() if "number " in body]
        return sorted(int(body.rpartition("number ")[2].rstrip('"}')) for body in bodies)


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[Threads]:
    made = Made(tmp_path / "broker.db")
    made.warm()
    made.publish("there is a statement")
    made.taken.clear()
    yield Threads(made)
    made.broker.close()


def breaking(
    threads: Threads, at: int, error: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the statement of this number, from now on, fail, once."""
    way = cast(SqlitePlainWay, threads.made.way)
    execute, calls = way._execute, iter(range(1000))

    def call(sql: str, values: Sequence[Any]) -> Any:
        if next(calls) == at:
            raise error()
        return execute(sql, values)

    monkeypatch.setattr(way, "_execute", call)


@pytest.mark.parametrize("count", [1, 5])
def test_who_has_the_lock_stores_what_all_have_brought(threads: Threads, count: int) -> None:
    disk = threads.made.store._durability.disk
    assert disk is not None
    with threads.all_wait(count):
        commits = disk._commits
    assert disk._commits == commits + 1
    assert threads.made.taken == [True] * count
    assert threads.numbers() == list(range(count))
    assert len({*threads.answers}) == count


def test_there_is_a_limit_to_it(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskflow.stores.sqlite.shared_commit.MOST", 2)
    assert MOST > 2
    with threads.all_wait(5):
        pass
    assert threads.made.taken == [True] * 5
    assert threads.numbers() == [0, 1, 2, 3, 4]


def test_one_that_is_refused_keeps_no_other_from_being_stored(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(threads, 1, apsw.ConstraintError, monkeypatch)
    with threads.all_wait(3):
        pass
    assert sorted(threads.made.taken) == [False, True, True]
    assert threads.numbers() == [0, 1, 2]  # one by the general way


def test_an_error_of_the_disk_undoes_all_and_the_others_try_for_themselves(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(threads, 1, apsw.FullError, monkeypatch)
    with threads.all_wait(3):
        pass
    failed = [one for one in threads.answers if isinstance(one, BaseException)]
    assert [type(one) for one in failed] == [BrokerFileError]
    assert threads.made.taken == [False, False]
    assert len(threads.numbers()) == 2


def test_who_was_stored_by_one_that_was_interrupted_hears_that_nobody_knows(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(threads, 1, KeyboardInterrupt, monkeypatch)
    with threads.all_wait(3):
        pass
    kinds = sorted(type(one).__name__ for one in threads.answers)
    assert kinds == [BrokerUnavailable.__name__] * 2 + [KeyboardInterrupt.__name__]
    assert threads.numbers() == []
    threads.made.publish("number 7")
    assert threads.numbers() == [7]


def test_a_transaction_of_the_thread_that_has_the_lock_is_its_own(threads: Threads) -> None:
    with threads.all_wait(2), threads.made.store._database.writing:
        threads.made.publish("number 2")
    assert threads.made.taken == [False] * 3
    assert threads.numbers() == [0, 1, 2]


def test_what_a_parents_threads_had_brought_is_not_stored_in_a_fork(threads: Threads) -> None:
    database = threads.made.store._database
    with threads.all_wait(2):
        mine = database.connection
        for one in threads.shared._waiting:
            one.connection = apsw.Connection(":memory:")
        assert mine is database.connection
        threads.made.publish("number 2")
    assert threads.made.taken.count(True) == 1
    assert threads.numbers() == [0, 1, 2]


def test_a_disk_that_is_full_at_the_first_publishes_leaves_the_way_open(tmp_path: Path) -> None:
    made = Made(tmp_path / "broker.db")
    made.warm()
    threads = Threads(made)
    insert, calls = threads.shared._insert, iter(range(100))

    def full_at_the_second(values: Sequence[Any]) -> bool:
        if next(calls) == 1:
            raise apsw.FullError("full")
        return insert(values)

    threads.shared._insert = full_at_the_second
    with threads.all_wait(2):
        pass
    made.taken.clear()
    made.publish("number 9")
    assert made.taken == [True]
    assert 9 in threads.numbers()
    made.broker.close()


def test_one_that_was_taken_and_lost_goes_the_general_way(threads: Threads) -> None:
    with threads.all_wait(1):
        threads.shared._waiting.clear()
    assert threads.made.taken == [False]
    assert threads.numbers() == [0]
