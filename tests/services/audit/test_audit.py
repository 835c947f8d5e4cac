"""The audit log: append-only, once per event, and every kind of tampering found."""

import dataclasses
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from services.audit import handlers
from services.audit.entry import Entry
from services.audit.handlers import Recorder
from services.audit.repository import CHECKPOINT_EVERY, AuditLog
from services.audit.verify import verify
from taskflow import Registry, Reject, publish
from taskflow.testing import drain, memory_broker
from taskflow.topology import declare
from tests.services.audit.tampering import event, fill, forge, tamper


def test_untouched_log_is_intact(recorder: Recorder, log: AuditLog) -> None:
    fill(recorder, 12)
    report = verify(log)
    assert (report.broken, report.entries, report.checkpoints) == (None, 12, 1)


def test_event_delivered_twice_is_one_entry(recorder: Recorder, log: AuditLog) -> None:
    recorder.record(event(1, a=1, b=2))
    recorder.record(msgspec.structs.replace(event(1, b=2, a=1), attempt=2))
    assert len(list(log.entries())) == 1


def test_event_id_with_other_content_is_rejected(recorder: Recorder, log: AuditLog) -> None:
    recorder.record(event(1))
    with pytest.raises(Reject, match="evt_1"):
        recorder.record(event(1, total=5))
    assert len(list(log.entries())) == 1


@pytest.mark.parametrize("statement", ["UPDATE entries SET topic = 'x'", "DELETE FROM entries"])
def test_database_refuses_to_change_entries(
    recorder: Recorder, database: Path, statement: str
) -> None:
    fill(recorder, 1)
    with (
        closing(sqlite3.connect(database)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


def test_concurrent_writers_make_one_chain(recorder: Recorder, log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(recorder.record, map(event, range(40))))
    assert (verify(log).broken, len(list(log.entries()))) == (None, 40)


@pytest.mark.parametrize(
    ("statement", "seq", "kind"),
    [
        ("UPDATE entries SET body = CAST('{}' AS BLOB) WHERE seq = 3", 3, "edit"),
        ("UPDATE entries SET topic = 'order.lost' WHERE seq = 1", 1, "edit"),
        ("UPDATE entries SET event_id = 'evt_x' WHERE seq = 3", 3, "edit"),
        ("UPDATE entries SET source = 'x' WHERE seq = 3", 3, "edit"),
        ("UPDATE entries SET occurred_at = 'x' WHERE seq = 3", 3, "edit"),
        ("UPDATE entries SET recorded_at = 'x' WHERE seq = 5", 5, "edit"),
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 3", 3, "edit"),
        ("UPDATE entries SET prev_hash = x'01' WHERE seq = 3", 3, "edit"),
        ("DELETE FROM entries WHERE seq = 3", 3, "gap"),
        ("DELETE FROM entries WHERE seq = 1", 1, "gap"),
        ("DELETE FROM entries WHERE seq IN (2, 3)", 2, "gap"),
    ],
)
def test_edit_and_deletion_are_found_at_their_entry(
    recorder: Recorder, log: AuditLog, database: Path, statement: str, seq: int, kind: str
) -> None:
    fill(recorder, 5)
    tamper(database, statement)
    broken = verify(log).broken
    assert broken is not None
    assert (broken.seq, broken.kind) == (seq, kind)


def test_swapped_entries_are_found_as_reordering(
    recorder: Recorder, log: AuditLog, database: Path
) -> None:
    fill(recorder, 5)
    tamper(database, *(f"UPDATE entries SET seq = {a} WHERE seq = {b}" for a, b in SWAP))
    broken = verify(log).broken
    assert broken is not None
    assert (broken.seq, broken.kind) == (2, "reordering")


SWAP = [(99, 2), (2, 3), (3, 99)]


def test_entry_replaced_with_its_hash_is_found_by_the_next_link(
    recorder: Recorder, log: AuditLog, database: Path
) -> None:
    fill(recorder, 5)
    forge(log, database, range(3, 4))
    assert found(log) == (3, "edit")


def test_cut_tail_is_found_by_the_checkpoint(
    recorder: Recorder, log: AuditLog, database: Path
) -> None:
    fill(recorder, CHECKPOINT_EVERY)
    tamper(database, "DELETE FROM entries WHERE seq > 7")
    assert found(log) == (8, "truncation")


def test_cut_tail_is_found_after_a_checkpoint_on_demand(
    recorder: Recorder, log: AuditLog, database: Path
) -> None:
    fill(recorder, 3)
    log.checkpoint("now")
    tamper(database, "DELETE FROM entries")
    assert found(log) == (1, "truncation")


def test_rewritten_chain_is_found_by_the_checkpoint(
    recorder: Recorder, log: AuditLog, database: Path
) -> None:
    fill(recorder, CHECKPOINT_EVERY)
    forge(log, database, range(3, CHECKPOINT_EVERY + 1))
    assert found(log) == (CHECKPOINT_EVERY, "rewritten")


def found(log: AuditLog) -> tuple[int, str]:
    broken = verify(log).broken
    assert broken is not None
    return broken.seq, broken.kind


def test_no_byte_can_move_between_fields() -> None:
    one = Entry(1, "ab", "c", "", "", "", b"", b"")
    assert one.compute_hash() != dataclasses.replace(one, event_id="a", topic="bc").compute_hash()


@pytest.fixture
def fresh_recorder() -> Iterator[None]:
    handlers.get_recorder.cache_clear()
    yield
    handlers.get_recorder.cache_clear()


@pytest.mark.usefixtures("settings", "fresh_recorder")
def test_handler_records_every_order_event(log: AuditLog) -> None:
    registry = Registry()
    registry.subscribe("order.created", "order.cancelled", queue="audit")(handlers.record)
    broker = memory_broker()
    declare(broker, registry)
    publish("order.created", {"order_id": "ord_1"}, broker=broker)
    publish("order.cancelled", {"order_id": "ord_1"}, broker=broker)
    drain(broker, registry)
    broker.close()
    assert [entry.topic for entry in log.entries()] == ["order.created", "order.cancelled"]
