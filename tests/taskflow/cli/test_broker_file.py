"""A broker file that cannot be used: one clear line, exit code 1, nothing half-written."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

import taskflow.stores.sqlite.connecting as connecting
import taskflow.stores.sqlite.database as database
import taskflow.stores.sqlite.migration as migration
from taskflow import Broker, open_broker

Run = Callable[..., Result]
ADDRESS = "sqlite:///broker.db"
SOMEBODY = 65534  # "nobody" nearly everywhere


def refused(result: Result) -> str:
    """The one line."""
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.fixture(
    params=[
        ("queues",),
        ("publish", "order.created", "1", "--create"),
        ("worker", "-m", "shop"),
        ("dlq", "list"),
        ("topology", "apply", "-m", "shop"),
    ],
    ids=" ".join,
)
def command(request: pytest.FixtureRequest, run: Run) -> Callable[[str], Result]:
    """Each command that opens a broker, given its address."""
    return lambda address: run(*request.param, "--broker", address)


Command = Callable[[str], Result]


def test_a_missing_folder_is_named_and_not_made(command: Command, folder: Path) -> None:
    line = refused(command("sqlite:///no/such/broker.db"))
    assert line == f"Error: {folder}/no/such does not exist; check the path and its rights"
    assert not (folder / "no").exists()


def test_a_folder_is_no_file(command: Command, folder: Path) -> None:
    (folder / "broker.db").mkdir()
    assert "broker.db cannot be opened" in refused(command("sqlite:///broker.db"))


def test_what_is_no_sqlite_file_is_left_as_it_is(command: Command, folder: Path) -> None:
    file = folder / "broker.db"
    file.write_text("these are notes, not a database\n" * 100)
    before = file.read_bytes()
    line = refused(command("sqlite:///broker.db"))
    assert line == f"Error: {folder}/broker.db is not an SQLite file"
    assert file.read_bytes() == before
    assert list(folder.glob("broker.db-*")) == []


def test_a_foreign_sqlite_file_is_left_as_it_is(command: Command, folder: Path) -> None:
    with sqlite3.connect(folder / "broker.db") as foreign:
        foreign.execute("CREATE TABLE theirs (a)")
        foreign.execute("INSERT INTO theirs VALUES (1)")
    foreign.close()
    before = (folder / "broker.db").read_bytes()
    line = refused(command("sqlite:///broker.db"))
    assert line == f"Error: {folder}/broker.db is an SQLite file, but no taskflow broker"
    assert (folder / "broker.db").read_bytes() == before
    assert {file.name for file in folder.glob("broker.db*")} == {"broker.db"}


def test_a_file_of_a_newer_taskflow_is_left_as_it_is(command: Command, folder: Path) -> None:
    open_broker("sqlite:///broker.db").close()
    with sqlite3.connect(folder / "broker.db") as newer:
        newer.execute(f"PRAGMA user_version = {migration.SCHEMA_VERSION + 1}")
    newer.close()
    line = refused(command("sqlite:///broker.db"))
    assert "was written by a newer taskflow" in line
    assert "upgrade taskflow" in line


def test_a_cut_file_is_refused(run: Run, folder: Path) -> None:
    with broker_file():
        pass
    file = folder / "broker.db"
    file.write_bytes(file.read_bytes()[:5000])
    assert "broker.db" in refused(run("publish", "order.created", "1", "--broker", ADDRESS))


# ---- a full disk ------------------------------------------------------------------------------
@contextmanager
def broker_file() -> Iterator[Broker]:
    """A broker file whose queue `work` takes `order.created`, closed at the end."""
    broker = open_broker(ADDRESS)
    broker.create_topic("order.created")
    broker.create_queue("work")
    broker.subscribe("order.created", "work")
    yield broker
    broker.close()


def small(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    """From now on a broker file may hold so many pages: SQLite then says that the disk is full."""
    connect = connecting.connect

    def connect_small(path: Path | None, *, create: bool) -> object:
        connection = connect(path, create=create)
        connection.pragma("max_page_count", pages)
        return connection

    monkeypatch.setattr(database, "connect", connect_small)


def test_a_publish_that_fills_the_disk_stores_nothing_of_its_batch(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broker_file():
        pass
    (folder / "large.json").write_text(f'"{"x" * 50_000}"')
    with monkeypatch.context() as patch:
        small(patch, 110)
        publish = partial(run, "publish", "order.created", "@large.json", "--broker", ADDRESS)
        line = refused(publish("--count", "20"))
        assert line == f"Error: {folder}/broker.db: the disk is full; nothing was stored"
        assert publish("--count", "2").exit_code == 0, "what fits is stored"
    with broker_file() as broker:
        assert broker.counts("work").visible == 2
    checked = sqlite3.connect(folder / "broker.db")
    assert checked.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    checked.close()


def test_a_disk_too_full_for_a_new_broker_leaves_one_that_can_be_finished(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        small(patch, 3)
        line = refused(run("publish", "made", "1", "--create", "--broker", ADDRESS))
        assert line == f"Error: {Path.cwd()}/broker.db: the disk is full; nothing was stored"
    assert run("publish", "made", "1", "--create", "--broker", ADDRESS).exit_code == 0


# ---- rights -----------------------------------------------------------------------------------
@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a broker file, as somebody whom permissions bind: root gives itself up."""
    folder = Path(tempfile.mkdtemp(prefix="taskflow-"))
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    with broker_file():
        pass
    was_root = os.geteuid() == 0
    if was_root:
        os.chown(folder, SOMEBODY, -1)
        os.chown(folder / "broker.db", SOMEBODY, -1)
        os.seteuid(SOMEBODY)
    try:
        yield folder
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_an_unreadable_file_is_refused(run: Run, shared: Path) -> None:
    (shared / "broker.db").chmod(0)
    line = refused(run("queues", "--broker", ADDRESS))
    assert line == f"Error: {shared}/broker.db cannot be opened; check the path and its rights"


def test_a_read_only_file_is_refused(run: Run, shared: Path) -> None:
    (shared / "broker.db").chmod(0o444)
    line = refused(run("publish", "order.created", "1", "--broker", ADDRESS))
    assert line == f"Error: {shared}/broker.db is read-only; the broker must write"


def test_a_read_only_folder_is_refused(run: Run, shared: Path) -> None:
    shared.chmod(0o555)
    for name in ("new.db", "broker.db"):
        line = refused(run("queues", "--broker", f"sqlite:///{name}"))
        assert name in line
    assert sorted(path.name for path in shared.iterdir()) == ["broker.db"]


def test_looking_does_not_make_a_file(run: Run, folder: Path) -> None:
    for command in (
        ("queues",),
        ("dlq", "list"),
        ("dlq", "move", "audit"),
        ("workers",),
        ("pause", "audit"),
        ("tags", "audit", "a=b"),
        ("describe", "audit"),
        ("peek", "audit"),
        ("send", "audit", "x"),
        ("purge", "audit", "--yes"),
    ):
        line = refused(run(*command, "--broker", "sqlite:///typo.db"))
        assert (
            line == f"Error: {folder}/typo.db does not exist; the first worker or publish makes it"
        )
    assert list(folder.glob("*.db")) == []
