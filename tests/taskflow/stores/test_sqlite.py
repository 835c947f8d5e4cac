"""The broker file: shared, checked, translated errors, durable publishes."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.change import Change, Publish, Put, Send
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.intake import HOUSEKEEPING
from taskflow.config import open_broker
from taskflow.errors import BrokerFileError, BrokerUnavailable, LimitExceeded
from taskflow.message import Message
from taskflow.stores.sqlite import checkpointer, disk_sync
from taskflow.stores.sqlite.connecting import check_sqlite_version, connect
from taskflow.stores.sqlite.migration import MIGRATIONS, SCHEMA_VERSION
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock


def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/broker.db"


def test_messages_outlive_the_process_that_sent_them(tmp_path: Path) -> None:
    first = open_broker(address(tmp_path))
    first.create_queue("work")
    first.send("work", [Message("1", "x")])
    first.close()
    second = open_broker(address(tmp_path))
    assert [found.id for found in second.receive("work")] == ["1"]
    second.close()


def test_closing_twice_is_fine_and_using_it_after_is_told(tmp_path: Path) -> None:
    broker = open_broker(address(tmp_path))
    broker.close()
    broker.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        broker.topics()


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.44.5", "3.50.6", "3.51.2"])
def test_versions_with_the_wal_reset_race_are_refused(version: str) -> None:
    with pytest.raises(BrokerUnavailable, match=version):
        check_sqlite_version(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.54.1", "4.0.0"])
def test_versions_with_the_fix_are_taken(version: str) -> None:
    check_sqlite_version(version)


def test_a_foreign_sqlite_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    with pytest.raises(BrokerFileError, match="no taskflow broker"):
        open_broker(address(tmp_path))
    connection = apsw.Connection(str(path))
    assert [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")] == [
        "precious"
    ]
    connection.close()


def test_a_file_from_the_future_is_refused(tmp_path: Path) -> None:
    open_broker(address(tmp_path)).close()
    connection = apsw.Connection(str(tmp_path / "broker.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(BrokerFileError, match=r"newer taskflow \(schema 99"):
        open_broker(address(tmp_path))


def make_old(path: Path, version: int) -> apsw.Connection:
    """Make a broker file one of an older version, and leave it open."""
    older = apsw.Connection(str(path))
    older.execute(
        """DROP TRIGGER letter_gone; DROP TABLE letter; DROP TABLE cause; DROP TABLE cause_hour;
           DROP TABLE arrival; ALTER TABLE topology RENAME TO declaration"""
    )
    older.pragma("user_version", version)
    if version == 5:
        return older
    older.execute("ALTER TABLE declaration RENAME TO declared")
    if version == 4:
        return older
    older.execute(
        """DROP INDEX message_due; DROP INDEX message_level; DROP INDEX message_group;
           DROP INDEX message_held; DROP INDEX message_parked; DROP INDEX bucket_at;
           ALTER TABLE message DROP COLUMN level; ALTER TABLE message DROP COLUMN slot;
           CREATE INDEX message_due ON message (queue, visible_at, seq);
           CREATE INDEX message_tenant ON message (queue, tenant, visible_at, seq)
               WHERE tenant IS NOT NULL"""
    )
    if version < 3:
        older.execute("ALTER TABLE body RENAME TO payload; DROP TABLE shared; DROP TABLE record")
    if version == 1:
        older.execute("ALTER TABLE queue DROP COLUMN expired")
    return older


def _indexes(connection: apsw.Connection) -> list[str]:
    """How the indexes of messages were made, whatever the line breaks."""
    found = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'message' AND sql <> ''"
    )
    return sorted(" ".join(sql.split()) for (sql,) in found)


def _indexes_of_a_new_file(tmp_path: Path) -> list[str]:
    open_broker(f"sqlite:///{tmp_path}/new.db").close()
    connection = apsw.Connection(str(tmp_path / "new.db"))
    try:
        return _indexes(connection)
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["arrival", "topology"])
def test_a_table_of_the_application_keeps_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "broker.db"
    open_broker(address(tmp_path)).close()
    with closing(make_old(path, 5)) as older:
        older.execute(f"CREATE TABLE {name} (mine)")
    with pytest.raises(BrokerFileError, match=f"{name}.*another name"):
        open_broker(address(tmp_path))
    with closing(apsw.Connection(str(path))) as older:
        assert older.pragma("user_version") == 5
        older.execute(f"ALTER TABLE {name} RENAME TO mine")
    open_broker(address(tmp_path)).close()


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_a_file_from_the_past_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "broker.db"
    before = open_broker(address(tmp_path))
    before.create_queue("dead")
    before.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=3))
    before.send("work", [Message("0", "z"), Message("a", "x"), Message("b", "y")])
    before.dead_letter([(before.receive("work")[0], '{"handler": "h", "attempts": 3}')])
    before.close()
    older = make_old(path, version)
    older.execute("UPDATE queue SET handled = 7")
    broker = open_broker(address(tmp_path))
    assert (broker.counts("work").visible, broker.counts("work").expired) == (2, 0)
    assert older.pragma("user_version") == SCHEMA_VERSION
    bodies = "payload" if version < 3 else "body"
    theirs = "payload" if version < 3 else "message INDEXED BY message_tenant"
    with pytest.raises(apsw.SQLError, match="no such"):  # who has it open does no harm
        older.execute(f"SELECT stamp FROM {'declared' if version < 5 else 'declaration'}")
    if version < 4:
        with pytest.raises(apsw.SQLError, match="no such"):
            older.execute(f"DELETE FROM {theirs} WHERE tenant IS NOT NULL")
    (cause,) = broker.causes()  # of what had died before
    assert (cause.queue, cause.source, cause.handler, cause.count) == ("dead", "work", "h", 1)
    assert _indexes(older) == _indexes_of_a_new_file(tmp_path)
    older.close()
    broker.apply([Change(records=[Put(kind="run", key="1", value="a")])])
    assert broker.counts("work").handled == 7
    assert [one.body for one in broker.receive("work", limit=10)] == ["x", "y"]
    broker.close()
    copy = apsw.Connection(str(tmp_path / f"broker.db.schema-{version}"))
    assert copy.execute("SELECT max(handled) FROM queue").get == 7
    assert copy.execute(f"SELECT count(*) FROM {bodies}").get == 3
    assert copy.pragma("user_version") == version
    copy.close()
    assert stat.S_IMODE((tmp_path / f"broker.db.schema-{version}").stat().st_mode) == 0o600
    assert list(tmp_path.glob("*.part")) == []


def test_a_file_that_cannot_be_copied_stays_as_it_is(tmp_path: Path) -> None:
    open_broker(address(tmp_path)).close()
    make_old(tmp_path / "broker.db", 2).close()
    (tmp_path / "broker.db.schema-2").mkdir()
    with pytest.raises(BrokerFileError, match=r"must be copied to broker\.db\.schema-2 before"):
        open_broker(address(tmp_path))
    older = apsw.Connection(str(tmp_path / "broker.db"))
    assert older.pragma("user_version") == 2
    assert older.execute("SELECT count(*) FROM payload").get == 0
    older.close()


def test_a_process_that_has_the_file_open_is_told_of_a_newer_version(tmp_path: Path) -> None:
    """As this version will be, by the next one."""
    broker = open_broker(address(tmp_path))
    broker.create_queue("work")
    broker.send("work", [Message("a", "x")])
    newer = apsw.Connection(str(tmp_path / "broker.db"))
    newer.execute("ALTER TABLE body RENAME TO body_of_tomorrow")
    for verb in (
        lambda: broker.send("work", [Message("b", "y")]),
        lambda: broker.receive("work"),
    ):
        with pytest.raises(BrokerFileError, match="a newer taskflow while it was open here"):
            verb()
    newer.execute("ALTER TABLE body_of_tomorrow RENAME TO body")
    newer.close()
    assert [one.body for one in broker.receive("work", limit=10)] == ["x"]
    broker.close()


def test_every_older_version_has_a_way_to_this_one() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broker.db").write_text("shopping list\n" * 100)
    with pytest.raises(BrokerFileError, match="not an SQLite file"):
        open_broker(address(tmp_path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerFileError, match="nosuch does not exist"):
        open_broker(f"sqlite:///{tmp_path}/nosuch/broker.db")


def test_a_full_disk_stores_nothing_and_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    broker = StoredBroker(store)
    broker.create_queue("work")
    broker.send("work", [Message("before", "x")])
    limit = store._database.connection.pragma("page_count") + 5
    store._database.connection.pragma("max_page_count", limit)
    with pytest.raises(BrokerFileError, match="the disk is full; nothing was stored"):
        broker.send("work", [Message("small", "x"), Message("large", "x" * 500_000)])
    assert [found.id for found in broker.peek("work")] == ["before"]
    store._database.connection.pragma("max_page_count", limit + 1000)
    broker.send("work", [Message("after", "x")])
    assert [found.id for found in broker.receive("work", limit=9)] == ["before", "after"]
    broker.close()


def test_a_locked_file_is_unavailable_not_a_crash(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    broker = StoredBroker(store)
    broker.create_queue("work")
    other = connect(tmp_path / "broker.db")
    other.execute("BEGIN IMMEDIATE")
    store._database.connection.set_busy_timeout(1)
    with pytest.raises(BrokerUnavailable, match="locked by another process"):
        broker.send("work", [Message("1", "x")])
    other.execute("ROLLBACK")
    other.close()
    broker.send("work", [Message("1", "x")])
    assert broker.counts("work").visible == 1
    broker.close()


def test_many_threads_send_and_receive_without_losing_any(tmp_path: Path) -> None:
    broker = open_broker(address(tmp_path) + "?durability=process")
    broker.create_queue("work")

    def send(start: int) -> None:
        for number in range(50):
            broker.send("work", [Message(f"{start}-{number}", "x")])

    def receive(_: int) -> list[str]:
        got = []
        while deliveries := broker.receive("work", limit=7):
            got += [found.id for found in deliveries]
            assert all(broker.delete([Finish(found) for found in deliveries]))
        return got

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(4)))
        got = [id for part in pool.map(receive, range(8)) for id in part]
    assert sorted(got) == sorted(f"{start}-{number}" for start in range(4) for number in range(50))
    broker.close()


def test_a_publish_is_answered_after_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(disk_sync, "_to_disk", synced.append)
    broker = open_broker(address(tmp_path))
    broker.create_queue("work")
    synced.clear()
    broker.send("work", [Message("1", "x"), Message("2", "x")])
    assert len(synced) == 1
    (held,) = broker.receive("work")
    broker.change_visibility([(held, 5)])
    broker.delete([Finish(held)])
    assert len(synced) == 1, "receives and acknowledgements do not wait for the disk"
    broker.close()


def test_durability_process_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(disk_sync, "_to_disk", synced.append)
    broker = open_broker(address(tmp_path) + "?durability=process")
    broker.create_queue("work")
    broker.send("work", [Message("1", "x")])
    assert synced == []
    broker.close()


def test_publishers_at_once_share_one_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker(address(tmp_path))
    broker.create_queue("work")
    syncs: list[int] = []
    entered, go_on = threading.Event(), threading.Event()

    def slow_disk(file: int) -> None:
        syncs.append(file)
        entered.set()
        assert go_on.wait(10)

    monkeypatch.setattr(disk_sync, "_to_disk", slow_disk)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(broker.send, "work", [Message("first", "x")])
        assert entered.wait(10)
        # The disk is busy: nine more commit meanwhile, and none of them is answered.
        rest = [pool.submit(broker.send, "work", [Message(str(n), "x")]) for n in range(9)]
        while broker.counts("work").visible < 10:
            pass
        assert not first.done()
        assert not any(one.done() for one in rest)
        go_on.set()
        for one in [first, *rest]:
            one.result(10)
    assert len(syncs) == 2, "one for the first, one for the nine that came meanwhile"
    broker.close()


def test_a_disk_that_fails_to_sync_fails_the_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker(address(tmp_path))
    broker.create_queue("work")

    def broken(file: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(disk_sync, "_to_disk", broken)
    for id in "123":  # nobody knows of the first one either: the same words each time
        with pytest.raises(BrokerFileError, match="Input/output error") as caught:
            broker.send("work", [Message(id, "x")])
        assert str(caught.value).count("may be stored but not on disk") == 1
        assert str(caught.value).count("with the same ids is safe") == 1
    broker.close()


def test_the_wal_does_not_grow_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(checkpointer, "RESET_PAGES", 100)
    broker = open_broker(address(tmp_path) + "?durability=process")
    broker.create_queue("work")
    body = "x" * 20_000
    for number in range(600):
        broker.send("work", [Message(str(number), body)])
        broker.delete([Finish(found) for found in broker.receive("work", limit=10)])
    broker.close()  # waits for the checkpointer
    written = 600 * 5 * 4096
    assert (tmp_path / "broker.db").stat().st_size < written / 2
    again = open_broker(address(tmp_path))
    assert again.counts("work").handled == 600
    again.close()


def test_messages_that_nobody_ever_receives_leave_the_file(tmp_path: Path) -> None:
    clock = ManualClock()
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    broker = StoredBroker(store, clock=clock)
    broker.create_queue("work", QueueSettings(retention=60))
    for number in range(130):
        broker.send("work", [Message(f"old-{number}", "x")])
    clock.advance(60)
    for number in range(HOUSEKEEPING):
        broker.send("work", [Message(f"new-{number}", "x")])
    stored = store._database.connection.execute(
        "SELECT count(*), (SELECT count(*) FROM body) FROM message"
    )
    assert stored.get == (HOUSEKEEPING, HOUSEKEEPING)
    broker.close()


def test_two_that_change_one_queue_alone_lose_nothing(tmp_path: Path) -> None:
    """Two processes, or here two connections: who reads in order to change waits for the other."""
    brokers = [open_broker(address(tmp_path)) for _ in range(2)]
    brokers[0].create_queue("work")

    def add_a_second(n: int) -> None:
        broker = brokers[n % 2]

        def change() -> None:
            settings = broker.settings("work")
            broker.set_queue("work", replace(settings, retention=settings.retention + 1))

        broker.together(change)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add_a_second, range(40)))
    assert brokers[0].settings("work").retention == QueueSettings().retention + 40
    for broker in brokers:
        broker.close()


def test_the_disk_is_waited_for_after_a_change_not_within_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits within it keeps the others from the file."""
    broker = open_broker(f"{address(tmp_path)}?durability=power")
    waits: list[int] = []
    monkeypatch.setattr(disk_sync.DiskSync, "wait", lambda _: waits.append(1))

    def change() -> None:
        broker.create_queue("work")
        broker.set_queue("work", QueueSettings(retention=60))
        assert waits == []

    broker.together(change)
    assert waits == [1]
    broker.close()


def test_numbers_of_two_brokers_never_meet(tmp_path: Path) -> None:
    """A number that one saw before the other added is not used: in a moment that stands still, all
    of them follow each other."""
    clock = ManualClock()
    brokers = [open_broker(address(tmp_path), clock=clock) for _ in range(2)]
    one, other = brokers
    one.create_topic("made")
    one.create_queue("work", QueueSettings(max_message_bytes=1024))
    one.create_queue("second", QueueSettings(max_message_bytes=1024))
    one.subscribe("made", "work")
    sent = 0
    for turn in range(20):
        with pytest.raises(LimitExceeded):
            one.publish("made", [Message("large", "x" * 1025)])  # it has looked, and added nothing
        other.send("work", [Message(f"{turn}-other", "x")])
        verb = turn % 4
        if verb == 0:
            one.send("work", [Message(f"{turn}-sent", "x")])
        elif verb == 1:
            one.publish("made", [Message(f"{turn}-published", "x")])
        elif verb == 2:
            messages = [Message(f"{turn}-applied", "x")]
            one.apply([Change(sends=[Publish("made", messages)])])
        else:
            one.apply([Change(sends=[Send("work", [Message(f"{turn}-applied", "x")])])])
        sent += 2
        if turn == 10:
            one.subscribe("made", "second")
    found = other.peek("work", 1000)
    assert len(found) == sent
    assert all(delivery.body == "x" for delivery in found)
    for broker in brokers:
        broker.close()


def test_who_waits_is_told_when_the_whole_change_is_committed(tmp_path: Path) -> None:
    """A ring from within it would wake who then looks, and sees the old."""
    broker, other = open_broker(address(tmp_path)), open_broker(address(tmp_path))
    broker.create_queue("work")
    seen: list[float] = []
    broker.watch(lambda queues: seen.append(other.settings("work").delay))

    def change() -> None:
        broker.set_queue("work", QueueSettings(delay=7))
        assert seen == []

    broker.together(change)
    assert seen == [7]

    def fail() -> None:
        broker.set_queue("work", QueueSettings(delay=9))
        raise LimitExceeded("no")

    with pytest.raises(LimitExceeded):
        broker.together(fail)
    assert seen == [7], "nothing happened, and nobody is told"
    broker.set_queue("work", QueueSettings(delay=8))
    assert seen == [7, 8]
    broker.close()
    other.close()


def test_a_queue_that_was_never_made_leaves_no_trace(tmp_path: Path) -> None:
    """Its number is given again, to a queue of the other kind."""
    clock = ManualClock()
    broker = open_broker(address(tmp_path), clock=clock)

    def fail() -> None:
        broker.create_queue("work")
        broker.send("work", [Message("a", "x")])
        broker.receive("work")
        raise LimitExceeded("no")

    with pytest.raises(LimitExceeded):
        broker.together(fail)
    broker.create_queue("work.fifo")
    broker.send("work.fifo", [Message("a", "x", group="g", deduplication_id="a")])
    assert len(broker.receive("work.fifo", visibility=100)) == 1
    assert broker.receive("work.fifo") == []
    assert broker.next_due("work.fifo") == clock.now() + 100
    broker.close()


def test_rings_of_records_that_nobody_waits_for_are_not_kept(tmp_path: Path) -> None:
    broker = open_broker(address(tmp_path))
    assert isinstance(broker, StoredBroker)
    for turn in range(100):
        broker.apply([Change(records=[Put(kind="run", key=str(turn), value="", rings=True)])])
        broker.wait_record("run", str(turn), 0, 0.0)
    assert len(broker.publish.__self__._core.waiters._rings) == 0  # type: ignore[attr-defined]
    broker.close()
