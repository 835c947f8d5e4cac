"""A process that forks while threads of it are in the midst of something they share."""

from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.broker import QueueSettings
from tests.crash.forks import BESIDE_THREADS, make, program, stored

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

WARM = (
    BESIDE_THREADS
    + """
parent = os.getpid()
for number in range(2):
    publish("made", {}, broker=broker)  # the second one goes the plain way
way = broker.publish.__self__.plain
disk = broker.store._durability.disk
"""
)


def test_children_publish_beside_threads_that_share_a_commit(address: str) -> None:
    out = program(
        WARM
        + """
print(*["warm"] * 2)
stop = threading.Event()

def busy():
    while not stop.is_set():
        sys.stdout.write(publish("made", {}, broker=broker) + "\\n")

def child():
    threads = [begin(send_some) for _ in range(3)]
    for thread in threads:
        thread.join()

def send_some():
    for _ in range(4):
        os.write(1, (publish("made", {}, broker=broker) + "\\n").encode())

threads = [begin(busy) for _ in range(6)]
for _ in range(10):
    in_child(child)
stop.set()
for thread in threads:
    thread.join()
""",
        address,
    )
    ids = out.split()[2:]
    assert len(ids) == len(set(ids)) >= 10 * 3 * 4
    assert set(ids) <= set(stored(address))
    assert len(stored(address)) == len(ids) + 2


def test_a_fork_while_a_thread_waits_for_the_disk_waits_for_no_such(address: str) -> None:
    program(
        WARM
        + """
if disk is not None:
    began, go = threading.Event(), threading.Event()
    fdatasync = os.fdatasync

    def slow(file):
        if os.getpid() == parent:
            began.set()
            assert go.wait(30)
        fdatasync(file)

    os.fdatasync = slow
    thread = begin(send, "slow")
    assert began.wait(30)

def child():
    broker.secure()
    send("child")
    broker.close()

in_child(child)
if disk is not None:
    go.set()
    thread.join()
""",
        address,
    )
    assert "child" in stored(address)


@pytest.mark.parametrize("first", ["broker.close()", "broker.secure()", "broker.hurry()"])
def test_a_fork_while_a_lock_of_the_disk_is_held_needs_none_of_it(
    tmp_path: Path, first: str
) -> None:
    where = make(f"sqlite:///{tmp_path}/broker.db")
    program(
        WARM
        + f"""
def child():
    {first}

held, go = threading.Event(), threading.Event()

def hold():
    with disk._lock:
        held.set()
        assert go.wait(30)

thread = begin(hold)
assert held.wait(30)
in_child(child)
go.set()
thread.join()
""",
        where,
    )


def test_who_forks_in_the_midst_of_a_publish_has_it_stored_on_both_sides(address: str) -> None:
    """As a handler of signals may, which runs between any two steps."""
    out = program(
        WARM
        + """
execute = way._execute

def forks(sql, values):
    way._execute = execute
    if os.fork():
        assert os.wait()[1] == 0
    return execute(sql, values)

way._execute = forks
os.write(1, (publish("made", {}, broker=broker) + "\\n").encode())
if os.getpid() != parent:
    os._exit(0)
""",
        address,
    )
    ids = out.split()
    assert len(set(ids)) == 2
    assert set(ids) <= set(stored(address))
    assert len(stored(address)) == 4


def test_who_forks_in_the_midst_of_a_shared_commit_stores_nothing_of_others_twice(
    tmp_path: Path,
) -> None:
    where = make(f"sqlite:///{tmp_path}/broker.db")
    out = program(
        WARM
        + """
execute, calls = way._execute, iter(range(100))

def forks(sql, values):
    if next(calls) == 1:  # the second of three
        way._execute = execute
        if os.fork():
            assert os.wait()[1] == 0
    return execute(sql, values)

came = threading.Semaphore(0)
shared = way._shared

class Waiting(type(shared._waiting)):
    def append(self, one):
        super().append(one)
        came.release()

def one():
    os.write(1, (publish("made", {}, broker=broker) + "\\n").encode())
    if os.getpid() != parent:
        os._exit(0)

way._execute, shared._waiting = forks, Waiting()
with broker.store._database.reading:
    threads = [begin(one) for _ in range(3)]
    for _ in threads:
        assert came.acquire(timeout=30)
for thread in threads:
    thread.join()
""",
        where,
    )
    ids = out.split()
    assert len(set(ids)) == 4  # three here, and that of the thread that is in the child
    assert set(ids) <= set(stored(where))
    assert len(stored(where)) == 2 + 4


GROUP = """
from collections import deque
from taskflow.broker.change import Change, Put
from taskflow.workflows.group_commit import group_of

group = group_of(broker)
came = threading.Semaphore(0)

class Waiting(deque):
    def append(self, one):
        super().append(one)
        came.release()

group._waiting = Waiting()

def change(key):
    return Change(records=[Put(kind="test", key=key, value="{}", expected=0)])

class Slow:
    clock = broker.clock

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()

    def apply(self, changes):
        self.began.set()
        assert self.go.wait(30)
        return broker.apply(changes)

slow = Slow()
first = begin(group.apply, slow, change("first"))
assert slow.began.wait(30)
"""


@pytest.mark.parametrize("held", [False, True])
def test_a_fork_while_another_thread_has_the_turn_of_a_group_has_its_own(
    address: str, held: bool
) -> None:
    out = program(
        WARM
        + GROUP
        + f"""
second = begin(group.apply, broker, change("second"))
assert came.acquire(timeout=30)

def child():
    assert group_of(broker) is group
    group.apply(broker, change("child"))
    group.apply_all(broker, [change("child too"), change("child as well")])

if {held}:
    locked, go = threading.Event(), threading.Event()
    def hold():
        with group._mutex:
            locked.set()
            assert go.wait(30)
    holder = begin(hold)
    assert locked.wait(30)
in_child(child)
if {held}:
    go.set()
    holder.join()
slow.go.set()
first.join()
second.join()
print(*sorted(broker.records("test", ["first", "second", "child", "child too", "child as well"])))
""",
        address,
    )
    assert out == "child child as well child too first second\n"


def test_who_forks_while_it_makes_the_changes_of_a_group_leaves_none_behind(address: str) -> None:
    out = program(
        WARM
        + GROUP
        + """
class Forks:
    clock = broker.clock

    def apply(self, changes):
        if os.fork() == 0:
            raise SystemExit  # as a daemon's child may end
        assert os.wait()[1] == 0
        return broker.apply(changes)

def leads():
    try:
        group.apply(Forks(), change("second"))
    except SystemExit:
        group.apply(broker, change("child"))
        os._exit(0)

threads = [begin(leads)]
assert came.acquire(timeout=30)
threads.append(begin(group.apply, broker, change("third")))
assert came.acquire(timeout=30)
slow.go.set()
for thread in (first, *threads):
    thread.join()
print(*sorted(broker.records("test", ["first", "second", "third", "child"])))
""",
        address,
    )
    assert out == "child first second third\n"


def test_forks_beside_threads_that_change_several_files_hang_nobody(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process&shards=4"
    broker = open_broker(address)
    broker.create_queue("work", QueueSettings())
    broker.close()
    program(
        """
        over = threading.Event()

        def go(name):
            number = 0
            while not over.is_set():
                number += 1
                ids = [f"{name}-{number}-{at}" for at in range(8)]
                broker.send("work", [Message(id, "x") for id in ids])

        threads = [threading.Thread(target=go, args=(name,)) for name in "ab"]
        for one in threads:
            one.start()
        for _ in range(40):
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
        over.set()
        for one in threads:
            one.join()
        """,
        address,
    )
