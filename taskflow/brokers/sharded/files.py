"""The files of a broker of several: their names, how they are made, and opened."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec

from taskflow.broker.change import Put
from taskflow.brokers.sharded.guard import Guard
from taskflow.brokers.sharded.marks import Mark, raise_mark, read_mark
from taskflow.brokers.sharded.shard_map import (
    DECLARED,
    SHARD,
    ShardMap,
    even_map,
    read_map,
    write_map,
)
from taskflow.brokers.stored.handover import check_none_leaves
from taskflow.clock import Clock
from taskflow.errors import BrokerFileError
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.alone import change_alone
from taskflow.stores.sqlite.store import SqliteStore


def path_of(leader: Path, number: int) -> Path:
    """Where a file lies: the leader as it is called, the others beside it."""
    return leader if number == 0 else leader.with_name(f"{leader.name}.shard{number}")


def make_leader(leader: Path, shards: int, now: float) -> None:
    """Make the leader of a new broker, whole or not at all; nothing when somebody else was faster.
    (The other files are made by whoever opens it.)"""
    part = leader.with_name(f"{leader.name}.new-{uuid4().hex[:8]}")
    store = SqliteStore(part, durable=True)
    try:
        store.transact(
            lambda rows: write_map(rows, even_map(str(uuid4()), shards), now), durable=True
        )
    finally:
        store.close()
    try:
        with suppress(FileExistsError):
            os.link(part, leader)
        folder = os.open(leader.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BrokerFileError(f"{leader} cannot be made: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def make_lead(path: Path, now: float) -> None:
    """Make a broker's one file one that may get others. Nobody else has it open; else raises
    BrokerUnavailable. Raises ConfigError while a copy of it to another broker is under way."""

    def lead(rows: Rows) -> None:
        if read_map(rows) is not None:
            return
        check_none_leaves(rows, now)
        rows.records.put(Put(kind=SHARD, key=DECLARED, value="1"), 1, now)  # as no new file has
        write_map(rows, msgspec.structs.replace(even_map(str(uuid4()), 1), made=True), now)

    change_alone(path, lead)


def make_others(store: SqliteStore, leader: Path, clock: Clock) -> None:
    """Make the files that a new broker lacks still; once, whoever opens it at the same time."""

    def make(rows: Rows) -> None:
        found = read_map(rows)
        assert found is not None
        if found.made:
            return
        for number in range(1, found.shards):
            _make(path_of(leader, number), found.of(number), clock.now(), read_mark(rows))
        write_map(rows, msgspec.structs.replace(found, made=True), clock.now())

    store.transact(make, durable=True)


def _make(path: Path, wanted: ShardMap, now: float, mark: Mark) -> None:
    def write(rows: Rows) -> None:
        found = read_map(rows)
        if found is None and not rows.topics() and not rows.queues():
            write_map(rows, wanted, now)
            raise_mark(rows, mark)
        elif found is None or found.broker != wanted.broker:
            raise BrokerFileError(
                f"{path} is there already, and belongs to another broker: move it away"
            )

    store = SqliteStore(path, durable=True)
    try:
        store.transact(write, durable=True)
    finally:
        store.close()


def open_file(leader: Path, found: ShardMap, number: int, *, durable: bool) -> SqliteStore:
    """The store of a file that is not the leader. Raises BrokerFileError for one that is missing,
    or another one than it should be."""
    path = path_of(leader, number)
    if not path.exists():
        raise BrokerFileError(
            f"{path} is missing: it is one of the {found.shards} files of {leader}, and "
            "messages lie in it; bring it back, or all of them from one backup"
        )
    guard = Guard(str(path), found.of(number))
    return SqliteStore(path, durable=durable, create=False, accept=guard)


def take_older(store: SqliteStore, leader: Path, found: ShardMap) -> None:
    """Accept the files that are older copies than the others, from now on. Raises BrokerFileError
    for one that is missing, or another one than it should be."""
    stores = [store]
    try:
        for number in range(1, found.shards):
            stores.append(open_file(leader, found, number, durable=False))
        newest = max((one.look(read_mark) for one in stores), key=lambda mark: mark.number)
        for one in stores:
            one.transact(lambda rows: raise_mark(rows, newest))
            one.sync_file()
    finally:
        for one in stores[1:]:  # nobody takes a file away meanwhile
            store.transact(lambda _, one=one: one.close())  # type: ignore[misc]


def make_more(leader: Path, found: ShardMap, shards: int, now: float, mark: Mark) -> None:
    """Make the files that a broker of more would have, whose leader has this mark; anew, where
    somebody began to."""
    remove_unused(leader, found, range(found.shards, shards))
    for number in range(found.shards, shards):
        _make(path_of(leader, number), found.of(number), now, mark)


def remove_unused(leader: Path, found: ShardMap, numbers: Iterable[int]) -> None:
    """Remove files of this broker that are none of it now. Raises BrokerFileError for others."""
    for number in numbers:
        path = path_of(leader, number)
        if not path.exists():
            continue
        guard = Guard(str(path), found.of(number))
        SqliteStore(path, durable=False, create=False, accept=guard).close()
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
