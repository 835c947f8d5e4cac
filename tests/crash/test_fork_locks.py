"""A process that forks while one of its threads has a lock that the child, or who forks, wants."""

from pathlib import Path

import pytest

from taskflow import open_broker
from tests.crash.forks import BESIDE_THREADS, make, program

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]


def test_who_is_inside_a_file_opens_another_one_while_a_thread_forks(tmp_path: Path) -> None:
    """As a change of the number of files does; who forks waits for it, and it for nobody."""
    out = program(
        """
        import signal
        signal.alarm(40)
        from pathlib import Path
        from taskflow import forking
        from taskflow.stores.sqlite.store import SqliteStore

        forks = threading.Event()

        class First(forking.Forkable):  # is told first
            def before_fork(self, patience):
                forks.set()
                return True

        first = First()
        forking.tell(first)
        path = Path(sys.argv[1].removeprefix("sqlite:///"))
        store = SqliteStore(path.with_name("one.db"), durable=False)
        inside = threading.Event()

        def work(rows):
            inside.set()
            assert forks.wait(30)
            SqliteStore(path.with_name("other.db"), durable=False).close()
            print("opened", flush=True)

        thread = threading.Thread(target=store.transact, args=(work,))
        thread.start()
        assert inside.wait(30)
        child = os.fork()
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
        """,
        make(f"sqlite:///{tmp_path}/broker.db"),
    )
    assert out == "opened\n"


def test_files_are_added_while_a_thread_forks(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process&shards=2"
    program(
        """
        import signal
        signal.alarm(40)
        for number in range(50):
            send(f"m{number}")
        over = threading.Event()

        def change():
            for files in (4, 6, 3):
                broker.resharding.run(files)
            over.set()

        thread = threading.Thread(target=change)
        thread.start()
        while not over.is_set():
            child = os.fork()
            if not child:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        thread.join()
        """,
        make(address),
    )
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db?shards=3")
    assert len(broker.peek("work", 100)) == 50
    broker.close()


@pytest.mark.parametrize("use", ['ctx.step(len, "abc")', "ctx.progress(1, 2)"])
def test_a_child_that_uses_a_run_of_its_parent_waits_for_no_thread_of_that(
    address: str, use: str
) -> None:
    out = program(
        BESIDE_THREADS
        + f"""
from taskflow import Registry, Run, Worker, workflow
registry = Registry()

@workflow(registry=registry, name="forks")
def forks(ctx: Run):
    locks = [ctx.open().lock, ctx.work.progress._lock]
    held, go = threading.Event(), threading.Event()

    def hold():
        with locks[0], locks[1]:
            held.set()
            assert go.wait(30)

    def child():
        {use}
        os.write(1, b"used\\n")

    thread = begin(hold)
    assert held.wait(30)
    in_child(child)
    go.set()
    thread.join()

from taskflow.publisher import using
with using(broker):
    worker = Worker(broker, registry=registry)
    run = forks.delay()
    worker.drain()
assert run.state == "done", run.error
""",
        address,
    )
    assert out == "used\n"
