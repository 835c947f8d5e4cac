"""`taskflow backup` while publishers and workers run in processes of their own, and what the guide
says of restoring it: docs/guides/moving-brokers.md."""

import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from taskflow import open_broker
from taskflow.broker import Broker
from tests.crash.processes import check_integrity, child, end_leases, lines, rest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]
MOST = 1_000_000


def files_of(path: Path) -> list[Path]:
    """The files of a broker, without what lies beside them."""
    return [path, *sorted(path.parent.glob(f"{path.name}.shard[0-9]"))]


def where_all_are(broker: Broker) -> tuple[set[str], set[str]]:
    """The events that wait, and those that were passed on; each is in one of them, once."""
    waiting = [one.id for one in broker.peek("work", MOST)]
    passed = [one.id.removeprefix("s-") for one in broker.peek("done", MOST)]
    assert len(waiting) + len(passed) == len({*waiting, *passed}), "in two places"
    known = broker.finished("work", {(id, "made") for id in (*waiting, *passed)})
    assert {id for id, _ in known} == {*passed}
    kept = broker.records("run", [f"r-{id}" for id in (*waiting, *passed)])
    assert {*kept} == {f"r-{id}" for id in passed}
    return {*waiting}, {*passed}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_backup_made_under_load_is_restored_and_worked_on(tmp_path: Path, shards: int) -> None:
    file = tmp_path / "broker.db"
    address = f"sqlite:///{file}" + (f"?shards={shards}" if shards > 1 else "")
    with closing(open_broker(address)) as broker:
        broker.create_topic("made")
        for queue in ("work", "done"):
            broker.create_queue(queue)
        broker.subscribe("made", "work")
    published, passed = list[str](), list[str]()
    before: list[tuple[set[str], set[str]]] = []
    copies = [tmp_path / f"copy-{number}.db" for number in range(2)]
    with ExitStack() as running:
        publishers = [running.enter_context(child("publish_for_ever", address)) for _ in "12"]
        workers = [running.enter_context(child("pass_on_for_ever", address)) for _ in "12"]
        for copy in copies:
            for process in publishers:
                published += lines(process, 150)
            for process in workers:
                passed += lines(process, 40)
            before.append(({*published}, {*passed}))
            said = subprocess.run(
                [sys.executable, "-m", "taskflow", "backup", str(copy), "--broker", address],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert said.returncode == 0, said.stderr
        for process in publishers:
            published += lines(process, 150)
        for process in workers:
            passed += lines(process, 40)
        for process in (*publishers, *workers):
            process.kill()
        for process in publishers:
            published += rest(process)
        for process in workers:
            passed += rest(process)

    for copy, (acknowledged, handled) in zip(copies, before, strict=True):
        assert len(files_of(copy)) == shards
        with closing(open_broker(f"sqlite:///{copy}", create=False)) as broker:
            waiting, done = where_all_are(broker)
        assert acknowledged <= waiting | done, "what was published is there"
        assert handled <= done, "and what was handled is known as that"
        assert {*published} - waiting - done, "it went on meanwhile"

    old = tmp_path / "old"
    old.mkdir()
    for path in tmp_path.glob("broker.db*"):
        shutil.move(path, old)
    for source, target in zip(files_of(copies[1]), names_of(file, shards), strict=True):
        shutil.copy(source, target)
        target.chmod(0o600)
    for path in files_of(file):
        end_leases(f"sqlite:///{path}")
    with closing(open_broker(address, create=False)) as broker:
        waiting, done = where_all_are(broker)
        with child("pass_on_for_ever", address) as worker:
            assert {*lines(worker, len(waiting))} == waiting
        assert where_all_are(broker) == (set(), waiting | done)
    for path in files_of(file):
        check_integrity(f"sqlite:///{path}")


def names_of(file: Path, shards: int) -> list[Path]:
    """What the files of a broker are called."""
    return [file, *(file.with_name(f"{file.name}.shard{at}") for at in range(1, shards))]
