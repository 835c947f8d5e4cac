"""Opening a broker over SQLite, whether it is one file or several."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from taskflow import forking
from taskflow.broker import Broker
from taskflow.brokers.sharded.guard import Guard
from taskflow.brokers.sharded.shard_map import MOST_SHARDS
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.clock import Clock, SystemClock
from taskflow.errors import BrokerFileError, ConfigError
from taskflow.stores.sqlite.store import SqliteStore


def check_shards(text: str) -> int:
    """The number of files that an address asks for. Raises ConfigError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_SHARDS):
        raise ConfigError(f"shards is {text!r}; 1 to {MOST_SHARDS} files are allowed")
    return int(text)


def _is_there(path: Path) -> bool:
    """Not so in a folder that is shut, and of a name that is too long: who opens it says more."""
    return os.path.exists(path)  # noqa: PTH110 (Path's raises)


def _check_leads(path: Path, leads: Callable[[], bool], fault: str) -> None:
    """Raise BrokerFileError where another file of a broker lies beside a path that `leads` none.
    (That is asked last: of a new broker the leader is made first.)"""
    other = Path(f"{os.path.realpath(path)}.shard1")
    if _is_there(other) and not leads():
        raise BrokerFileError(
            f"{path} {fault}, and {other.name} lies beside it: a broker of several files lacks the "
            "one that leads them; bring it back, or all of them from one backup, or move all "
            "others away for a new broker"
        )


def open_files(
    path: Path,
    *,
    durable: bool,
    shards: int | None,
    create: bool,
    lead: bool = False,
    older: bool = False,
    clock: Clock | None,
    random: Random | None,
) -> Broker:
    """Open the broker whose one file, or whose leader, this is. `shards` is how many files a new
    one gets; one that is there has as many as it has. `lead`: one file becomes one that may get
    others. `older`: files that are older copies than the others are
    accepted as they are. Raises ConfigError when it says otherwise, BrokerFileError for files that
    cannot be used, BrokerUnavailable when somebody has the one open that is to lead."""
    clock, random = clock or SystemClock(), random or forking.RANDOM
    path = path.absolute()
    if shards is not None or lead:
        from taskflow.brokers.sharded.files import make_lead, make_leader
    _check_leads(path, lambda: _is_there(path), "is missing")
    if create and shards is not None and not _is_there(path):
        make_leader(Path(os.path.realpath(path)), shards, clock.now())
    guard = Guard(str(path))
    store = SqliteStore(path, durable=durable, create=create, accept=guard)
    try:
        found = guard.map
        has = 1 if found is None else found.shards
        _check_leads(path, lambda: found is not None, "leads no others")
        if shards is not None and shards != has:
            raise ConfigError(
                f"{path} has {has} {'file' if has == 1 else 'files'}, not {shards}: `shards` is "
                "for a new broker, and an address without it opens any"
            )
        if found is None and lead:
            store.close()
            make_lead(Path(os.path.realpath(path)), clock.now())
            return open_files(
                path, durable=durable, shards=shards, create=False, clock=clock, random=random
            )
        if found is None:
            return StoredBroker(store, clock=clock, random=random)
        leader = Path(os.path.realpath(path))
        if found.number:
            raise BrokerFileError(
                f"{path} is file {found.number} of a broker of {found.shards}: open the one that "
                "leads them, whose name has no `.shard` at its end"
            )
        # Forty modules, which those with one file do without.
        from taskflow.brokers.sharded.broker import ShardedBroker
        from taskflow.brokers.sharded.files import make_others, take_older

        store.never_create()
        if not found.made:
            make_others(store, leader, clock)
        if older:
            take_older(store, leader, found)
        return ShardedBroker(store, leader, found, durable=durable, clock=clock, random=random)
    except BaseException:
        store.close()
        raise
