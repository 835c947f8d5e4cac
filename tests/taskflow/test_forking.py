"""Who is told of a fork, and in which order; and every lock, of which a fork has a copy."""

import ast
import os
import sys
import threading
import weakref
from functools import cache
from pathlib import Path
from random import Random

import pytest

import taskflow
from taskflow import forking
from taskflow.uninterrupted import stands_inside


class Noting(forking.Forkable):
    def __init__(self, number: int, seen: list[int]) -> None:
        self.number = number
        self.seen = seen

    def before_fork(self, patience: float) -> bool:
        self.seen.append(self.number)
        return True

    def after_fork(self, child: bool) -> None:
        assert not child
        self.seen.append(-self.number)


def test_who_was_here_first_is_told_first() -> None:
    """As threads lock several files: in another order they and a fork would wait for each other."""
    seen: list[int] = []
    made = [Noting(0, seen) for _ in range(100)]
    Random(1).shuffle(made)  # where they lie says nothing
    for number, one in enumerate(made, 1):
        one.number = number
        forking.tell(one)
    del made[::3]
    kept = [one.number for one in made]
    del one
    forking._before()
    forking._after_in_parent()
    assert seen == kept + [-number for number in reversed(kept)]


@pytest.mark.timeout(10)
def test_files_that_are_opened_all_the_time_do_not_put_a_fork_off() -> None:
    """Who rests goes on resting, and what came meanwhile rests too."""
    seen: list[int] = []
    came: list[Noting] = []

    class Opening(Noting):
        def before_fork(self, patience: float) -> bool:
            came.append(Noting(self.number + len(came) + 1, seen))
            forking.tell(came[-1])
            return super().before_fork(patience)

    opening = Opening(1, seen)
    forking.tell(opening)
    forking._before()
    forking._after_in_parent()
    assert seen == [1, 2, -2, -1]


def test_no_time_limit_strikes_within_a_fork() -> None:
    """What it sends were lost there, and files not at rest."""
    seen: list[bool] = []

    class Looking(forking.Forkable):
        def before_fork(self, patience: float) -> bool:
            seen.append(stands_inside(sys._getframe(1)))
            return True

        def after_fork(self, child: bool) -> None:
            seen.append(stands_inside(sys._getframe(1)))

    looking = Looking()
    forking.tell(looking)
    forking._before()
    forking._after_in_parent()
    assert seen == [True, True]


# ---- locks --------------------------------------------------------------------------------------
MAKERS = (
    "Lock",
    "RLock",
    "Condition",
    "Event",
    "Semaphore",
    "Queue",
    "SimpleQueue",
    "ThreadPoolExecutor",
)
OWN = ("forking.anew(self", "forking.tell(self", "forking.pid")
"""What a class says that sees to forks itself."""
BY_OTHERS = {
    "taskflow/stores/postgres/declarations.py": "PostgresStore opens what is its own anew",
    "taskflow/stores/postgres/ear.py": "PostgresStore",
    "taskflow/stores/postgres/ringer.py": "PostgresStore",
    "taskflow/stores/postgres/tally_book.py": "PostgresStore",
    "taskflow/stores/sqlite/checkpointer.py": "Database closes it before, and opens another one",
    "taskflow/stores/sqlite/disk_sync.py": "Durability.begin_in_child forgets it",
    "taskflow/stores/sqlite/doorbell.py": "Doorbell.in_child makes another one",
    "taskflow/stores/sqlite/ear.py": "Doorbell.in_child closes its files, by no lock",
    "taskflow/stores/sqlite/patience.py": "Patience.begin_in_child",
    "taskflow/brokers/stored/waiters.py": "Core and Hub make others",
    "taskflow/workflows/group_commit.py": "GroupCommit.begin_in_child, at each fork",
    "taskflow/tasks/waiting_threads.py": "awaited_aside.py makes others in a child",
    "taskflow/publisher.py": "renewed by the module, at each fork",
    "taskflow/forking.py": "renewed by the module, at each fork",
}
"""Whose locks another one sees to, and who."""
NEVER_MET = {
    "taskflow/tasks/coroutine_patience.py": "a wait is of a coroutine of the parent's event loop",
    "taskflow/worker/inflight.py": "a pool is of the process whose threads it has",
    "taskflow/worker/job_settler.py": "a pool",
    "taskflow/worker/ticker.py": "a pool",
    "taskflow/worker/timeouts.py": "a pool",
    "taskflow/worker/supervisor.py": "a command's own",
    "taskflow/server/serving.py": "a server is of the process whose event loop it has",
    "taskflow/server/sqs_moves.py": "a server",
    "taskflow/server/deliveries.py": "a server",
    "taskflow/server/timekeeper.py": "a server",
    "taskflow/outbox/relay.py": "a relay is of the process that runs it",
    "taskflow/cli/broker_look.py": "a worker's command",
    "taskflow/testing/simulation/foreground.py": "a simulation is of one process",
    "taskflow/testing/simulation/simulated_clock.py": "a simulation",
}
"""What no code of a fork can come to."""


def locks_of(path: Path) -> list[str]:
    """The classes of a module whose objects keep a lock, and `` for one of the module itself."""
    text = path.read_text()
    kept: list[str] = []
    if not any(f"{maker}(" in text for maker in MAKERS):
        return kept
    tree = ast.parse(text)
    for top in tree.body:
        for node in ast.walk(top):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                is_kept = top is node or any(isinstance(one, ast.Attribute) for one in targets)
                if is_kept and makes_lock(node.value):
                    kept.append(top.name if isinstance(top, ast.ClassDef) else "")
    return kept


def makes_lock(node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.Call)
        and ast.unparse(one.func).rpartition(".")[2] in MAKERS
        and ast.unparse(one.func).partition(".")[0] in (*MAKERS, "threading", "queue", "asyncio")
        for one in ast.walk(node)
    )


@cache
def keeping_locks() -> dict[str, list[str]]:
    root = Path(taskflow.__file__).parent
    found = {
        str(path.relative_to(root.parent)): locks_of(path) for path in sorted(root.rglob("*.py"))
    }
    return {path: kept for path, kept in found.items() if kept}


def test_each_lock_is_seen_to_in_forks_or_never_met_there() -> None:
    """Who adds one says `forking.anew`, or writes here who renews it, or why no fork meets it."""
    unseen = []
    for path, classes in keeping_locks().items():
        text = (Path(taskflow.__file__).parent.parent / path).read_text()
        seen = any(word in text for word in OWN) or path in BY_OTHERS or path in NEVER_MET
        if not seen:
            unseen.append((path, classes))
    assert not unseen


def test_no_property_is_cached_under_a_lock_of_its_class() -> None:
    """Python 3.11 holds one for all objects while it is worked out, and no fork renews it."""
    for path in Path(taskflow.__file__).parent.rglob("*.py"):
        assert "cached_property" not in path.read_text()


def test_no_list_names_what_has_no_lock() -> None:
    assert {*BY_OTHERS, *NEVER_MET} <= set(keeping_locks())


def test_what_is_to_be_anew_is_made_at_once_and_again_in_each_fork() -> None:
    class Owner:
        lock: threading.Lock
        held: list[str]

    owner = Owner()
    forking.anew(owner, lock=threading.Lock, held=list)
    owner.held.append("a thread's")
    read, write = os.pipe()
    with owner.lock:
        child = os.fork()
        if not child:
            os.write(write, b"%d%d" % (owner.lock.acquire(blocking=False), len(owner.held)))
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 9) == b"10"
    assert owner.held == ["a thread's"]
    os.close(read)
    os.close(write)


def test_nobody_is_kept_who_is_gone() -> None:
    class Owner:
        lock: threading.Lock

    owner = Owner()
    forking.anew(owner, lock=threading.Lock)
    seen = weakref.ref(owner)
    del owner
    assert seen() is None
