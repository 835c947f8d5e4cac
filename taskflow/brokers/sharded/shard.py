"""One file of several: a stored broker of its own, and its number."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, TypeVar

from taskflow.brokers.sharded.fence import Fence
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.shard_waiters import ShardWaiters
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.core import Core
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.stores.sqlite.store import SqliteStore

T = TypeVar("T")


class Shard:
    """A file, what does its verbs, and how its receipts begin."""

    def __init__(
        self,
        number: int,
        store: SqliteStore,
        fence: Fence,
        hub: Hub,
        clock: Clock,
        random: Random,
    ) -> None:
        self.number = number
        self.store = store
        self.fence = fence
        store.fence(fence)
        core = Core(
            store, clock, random, mark=f"{number}/", waiters=lambda: ShardWaiters(hub, number)
        )

        def plain_way(**named: Any) -> SqlitePlainWay:
            reaches = partial(hub.reaches, number)
            self.plain = store.plain_way(**named, reaches=reaches, epoch=fence.epoch)
            return self.plain

        self.broker = StoredBroker(
            store, clock=clock, random=random, core=core, plain_way=plain_way
        )


def locked(
    shards: Sequence[Shard], work: Callable[[], T], *, durable: bool = True, alone: bool = False
) -> T:
    """Run `work` while nobody else writes into these files, in which it is one transaction each: an
    error undoes all of it. They are locked in the order of their numbers, and committed (with
    `durable`: to the disk) in the reverse order, one after the other: whoever dies in between has
    committed the last ones only. It may be run again."""
    if not shards:
        return work()
    return shards[0].store.transact(
        lambda _: locked(shards[1:], work, durable=durable, alone=alone),
        durable=durable,
        alone=alone,
    )


def let_go(leader: SqliteStore, shards: Sequence[Shard]) -> None:
    """Close files that are not the leader. Who closes a file as the last one removes its WAL, by
    the name: so nobody is to take the file away meanwhile and make another one of that name, whose
    WAL that would be. While the leader is locked nobody does; where it cannot be locked the WAL
    stays, for whoever opens the file next."""
    stores = [shard.store for shard in shards]

    def close(_: Rows) -> None:
        for store in stores:
            store.close()

    try:
        if any(store.is_open() for store in stores):
            with suppress(BrokerError):
                leader.transact(close)
    finally:
        for store in stores:
            store.close(checkpoint=False)
