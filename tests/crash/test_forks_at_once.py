"""A process of which a thread is inside a transaction, when two threads fork at once, or when the
thread wants a file that rests for the fork of another one."""

from pathlib import Path

import pytest

from tests.crash.forks import BESIDE_THREADS, make, program

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

TWO_FILES = (
    BESIDE_THREADS
    + """
from pathlib import Path
from taskflow import forking
from taskflow.stores.sqlite.store import SqliteStore

came = threading.Event()

class Between(forking.Forkable):
    def before_fork(self, patience):
        came.set()  # who forks has the first file now, and wants the second one
        return True

folder = Path(sys.argv[1].removeprefix("sqlite:///")).parent

def store_at(name):
    store = SqliteStore(folder / name, durable=False)
    store.transact(lambda rows: rows.put_queue("work", QueueSettings(), 1.0))
    return store

from taskflow.broker import QueueSettings
first = store_at("first.db")
between = Between()
forking.tell(between)
second = store_at("second.db")

def count(store):
    store.transact(lambda rows: rows.tally(1, 1, 0))

def handled(store):
    return store.look(lambda rows: rows._connection.execute("SELECT handled FROM queue").get)

def fork_and_use(refused=()):
    def child():
        for store in (first, second):
            try:
                count(store)
                os.write(1, b"used\\n")
            except BrokerUnavailable:
                assert store in refused, "a file that this thread was not inside of"
                os.write(1, b"refused\\n")
    in_child(child)

def both_go_on():
    for store in (first, second):
        count(store)
    print("over", flush=True)
"""
)


def run(text: str, tmp_path: Path) -> list[str]:
    return sorted(program(TWO_FILES + text, make(f"sqlite:///{tmp_path}/broker.db")).split())


def test_who_is_inside_a_transaction_forks_while_another_thread_does(tmp_path: Path) -> None:
    out = run(
        """
        inside = threading.Event()

        def work(rows):
            inside.set()
            assert came.wait(30)
            fork_and_use(refused=[second])

        thread = begin(second.transact, work)
        assert inside.wait(30)
        fork_and_use()  # has first, and wants second
        thread.join()
        both_go_on()
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert out == ["over", "refused", "used", "used", "used"]


def test_two_threads_fork_that_are_inside_of_a_transaction_each(tmp_path: Path) -> None:
    out = run(
        """
        both = threading.Barrier(2)

        def work(rows):
            both.wait(30)
            fork_and_use(refused=[first, second])

        threads = [begin(store.transact, work) for store in (first, second)]
        for thread in threads:
            thread.join()
        both_go_on()
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert out[0] == "over"
    assert out.count("refused") >= 2  # at least what each was inside of
    assert len(out) == 5


def test_who_is_inside_a_transaction_uses_a_file_that_rests_already(tmp_path: Path) -> None:
    """Of another broker, which was opened before; whoever forks waits for it, and it for nobody."""
    out = run(
        """
        inside = threading.Event()

        def work(rows):
            inside.set()
            assert came.wait(30)
            count(first)

        thread = begin(second.transact, work)
        assert inside.wait(30)
        fork_and_use()
        thread.join()
        both_go_on()
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert out == ["over", "used", "used"]


def test_many_threads_fork_at_once_beside_threads_that_store(tmp_path: Path) -> None:
    """Inside a transaction of this file or that one, or outside."""
    out = run(
        """
        over = threading.Event()

        def stores():
            while not over.is_set():
                second.transact(lambda rows: count(first))
                first.transact(lambda rows: None)

        def forks(inside):
            for _ in range(3):
                if inside is None:
                    in_child(lambda: None)
                else:
                    inside.transact(lambda rows: in_child(lambda: None))

        storing = [begin(stores) for _ in range(2)]
        forking_ = [begin(forks, inside) for inside in (first, second, None, None)]
        for thread in forking_:
            thread.join()
        over.set()
        for thread in storing:
            thread.join()
        both_go_on()
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert out == ["over"]
