"""SIGKILL while runs are copied from one broker to another."""

import random
import signal
from pathlib import Path

import pytest

from taskflow import SystemClock, open_broker
from taskflow.brokers.copying.copy import Copy
from taskflow.tasks.run_trees import RunTrees
from taskflow.testing import ManualClock
from tests.crash.processes import SECONDS, child
from tests.crash.test_copy_kill import shards
from tests.postgres_server import PostgresServer
from tests.taskflow.copying.tree_world import TreeWorld

pytestmark = pytest.mark.crash


@pytest.mark.slow
@pytest.mark.parametrize(("source_files", "target_files"), [(1, 1), (1, 3), (3, 1), (2, 3)])
def test_each_run_goes_on_at_one_broker_whoever_is_killed(
    tmp_path: Path, source_files: int, target_files: int
) -> None:
    """Before a commit of either file, or after it; and workers of both handle what they find."""
    source_at, target_at = (
        f"sqlite:///{tmp_path}/{name}.db?durability=process{shards(files)}"
        for name, files in (("from", source_files), ("to", target_files))
    )
    kill_and_repeat(source_at, target_at, "copy_and_die", 60, random.Random(source_files))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["postgres>file", "file>postgres", "postgres>postgres"])
def test_each_run_goes_on_at_one_broker_whatever_statement_was_the_last(
    tmp_path: Path, postgres: PostgresServer, way: str
) -> None:
    """Within the changes of either broker, too: what was not committed the server takes back."""
    source_at, target_at = (
        postgres.address(schema=f"{name}{at}")
        if name == "postgres"
        else f"sqlite:///{tmp_path}/{at}.db?durability=process"
        for at, name in enumerate(way.split(">"))
    )
    kill_and_repeat(source_at, target_at, "copy_and_die_at_statement", 400, random.Random(way))
    postgres.empty()


def kill_and_repeat(
    source_at: str, target_at: str, role: str, most: int, dice: random.Random
) -> None:
    """And let workers of both handle what they find in between."""
    clock = ManualClock(SystemClock().now())
    source, target = (open_broker(one, clock=clock) for one in (source_at, target_at))
    world = TreeWorld()
    found = world.fill(source)
    world.declare(target)
    for _ in range(8):
        at = str(dice.randrange(1, most))
        with child(role, source_at, target_at, at) as copying:
            assert copying.wait(SECONDS) in (-signal.SIGKILL, 0)
        world.work(target)
        if dice.random() < 0.5:
            world.work(source)
    Copy(source, target, trees=[RunTrees()]).run()
    assert source.count_records("run") == {}
    world.finish(target, found)
    source.close()
    target.close()
