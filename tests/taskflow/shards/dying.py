"""Who dies between the commits of two files, and ids that lie where a test wants them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard_map import even_map
from taskflow.stores.rows import Rows

PLACEMENT = Placement(even_map("x", 2))


class Died(BaseException):
    """As a SIGKILL: nobody catches it."""


@contextmanager
def dying_before_the_commit_of(broker: ShardedBroker, number: int) -> Iterator[None]:
    """In the block, who writes into this file dies just before that is committed. What is in the
    files then is what they hold after a kill, since each rolls back what was not committed."""
    store: Any = broker.shards[number].store
    transact = store.transact

    inside = False

    def dies(work: Callable[[Rows], Any], **options: Any) -> Any:
        nonlocal inside
        if inside:  # a part of the one that dies
            return transact(work, **options)
        inside = True

        def work_and_die(rows: Rows) -> None:
            work(rows)
            raise Died

        return transact(work_and_die, **options)

    store.transact = dies
    try:
        with suppress(Died):
            yield
    finally:
        store.transact = transact


def id_in(number: int, name: str = "id") -> str:
    """An id that lies in this file."""
    return next(id for at in count() if PLACEMENT.of_id(id := f"{name}-{at}") == number)


def key_in(number: int) -> str:
    """A key that lies in this file."""
    return next(key for at in count() if PLACEMENT.of_key(key := f"key-{at}") == number)
