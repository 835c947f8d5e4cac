"""A process that opened the broker and then forked: what it is told is stored is stored."""

from pathlib import Path

import pytest

from tests.crash.forks import make, program, stored

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]


@pytest.fixture(
    params=["power", "process", pytest.param("process&shards=2", marks=pytest.mark.slow)]
)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a broker of one file, or of two."""
    return make(f"sqlite:///{tmp_path}/broker.db?durability={request.param}")


def test_a_daemon_whose_parent_has_ended_loses_nothing(address: str) -> None:
    """The parent's end closes the last connection that SQLite knew of, and takes the WAL away."""
    program(
        """
        send("parent")
        if os.fork():
            os._exit(0)          # as daemonizing does; nothing is closed
        os.setsid()
        send("child-1")
        send("child-2", "child-3")
        """,
        address,
    )
    # The grandchild may still be at it: its lines end when it does, and so did `run`.
    assert stored(address) == ["child-1", "child-2", "child-3", "parent"]


def test_parent_and_children_go_on_side_by_side(address: str) -> None:
    program(
        """
        send("before")
        children = []
        for number in range(6):
            pid = os.fork()
            if pid == 0:
                send(*[f"child-{number}-{n}" for n in range(5)])
                os._exit(0)
            children.append(pid)
            send(f"parent-{number}")
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        send("after")
        """,
        address,
    )
    assert len(stored(address)) == 2 + 6 + 30


def test_ids_of_children_differ(address: str) -> None:
    out = program(
        """
        for number in range(8):
            if os.fork() == 0:
                for _ in range(20):
                    sys.stdout.write(publish("made", {}, broker=broker) + "\\n")
                sys.stdout.flush()
                os._exit(0)
        for _ in range(8):
            assert os.wait()[1] == 0
        """,
        address,
    )
    ids = out.split()
    assert len(ids) == len(set(ids)) == 160
    assert stored(address) == sorted(ids)


def test_a_fork_beside_a_thread_that_publishes_hangs_nobody(address: str) -> None:
    program(
        """
        stop = threading.Event()
        def busy():
            n = 0
            while not stop.is_set():
                send(f"thread-{n}")
                n += 1
        thread = threading.Thread(target=busy)
        thread.start()
        for number in range(20):
            pid = os.fork()
            if pid == 0:
                send(f"child-{number}")
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        thread.join()
        """,
        address,
    )
    found = stored(address)
    assert sum(id.startswith("child") for id in found) == 20


def test_a_fork_inside_a_transaction_keeps_the_parents_and_refuses_the_child(
    address: str,
) -> None:
    out = program(
        """
        def change():
            broker.create_queue("other")
            if os.fork() == 0:
                try:
                    broker.queues()
                except BrokerUnavailable as error:
                    print("refused:", "is a fork of it" in str(error))
                sys.stdout.flush()
                os._exit(0)
            os.wait()

        broker.together(change)
        print(broker.queues())
        """,
        address,
    )
    assert out == "refused: True\n['other', 'work']\n"


def test_a_fork_while_a_transaction_begins_keeps_the_parents(address: str) -> None:
    out = program(
        """
        from taskflow.stores.sqlite.arrivals import Arrivals

        def forking(self, take_over=Arrivals.take_over):
            forks()
            take_over(self)
            forks()

        def forks():
            if os.fork() == 0:
                os._exit(0)
            os.wait()

        broker.create_topic("made")
        broker.subscribe("made", "work")
        for number in range(3):
            publish("made", number, broker=broker)
        Arrivals.take_over = forking
        print(broker.counts("work").visible)
        publish("made", 3, broker=broker)
        send("4")
        print(broker.counts("work").visible)
        """,
        address,
    )
    assert out == "3\n5\n"


def test_closing_in_a_child_leaves_the_parent_alone(address: str) -> None:
    program(
        """
        send("before")
        if os.fork() == 0:
            broker.close()
            os._exit(0)
        assert os.wait()[1] == 0
        send("after")
        """,
        address,
    )
    assert stored(address) == ["after", "before"]


def test_a_broker_in_memory_is_not_carried_over() -> None:
    out = program(
        """
        broker.create_queue("work")
        if os.fork() == 0:
            try:
                send("lost")
            except BrokerUnavailable as error:
                print("refused:", error)
            sys.stdout.flush()
            os._exit(0)
        assert os.wait()[1] == 0
        send("kept")
        print(broker.counts("work").visible)
        """,
        "memory://",
    )
    assert out.startswith("refused: memory:// was opened by process")
    assert out.endswith("\n1\n")


def test_a_child_hears_of_sends_of_its_parent(address: str) -> None:
    """Its bell and its waiters are its own."""
    program(
        """
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(go, b"x")
            (one,) = broker.receive("work", wait=20)
            assert one.id == "later"
            broker.close()
            os._exit(0)
        os.read(ready, 1)
        send("later")
        assert os.waitpid(pid, 0)[1] == 0
        """,
        address,
    )
