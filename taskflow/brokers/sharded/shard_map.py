"""What each file of a broker of several says of itself: which one it is, and what lies where."""

from collections.abc import Sequence
from typing import cast

import msgspec

from taskflow.broker.change import Put
from taskflow.placing import PLACES
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.rows import SqliteRows

SHARD = "shard"
"""The kind of the records in which a file speaks of itself."""
MAP = "map"
DECLARED = "declared"
"""The keys of them: the map, and the number of the generation of its declarations."""
MOST_SHARDS = 64


class Leaving(msgspec.Struct, frozen=True):
    """What a file has given up under the epoch in which it says so, and holds until it lies in
    `target`: what is of some places; with `places` None all it has; nothing with no target. So
    many `files` are to have the new map before this is forgotten."""

    files: int
    target: int | None = None
    places: tuple[int, ...] | None = ()


class ShardMap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a record that lies in every file. `broker` is what they have in common, `number`
    which of them this is. The places from the first number of an `owners` on are those of the file
    of the second. Another `epoch` is another map. `made`: all files are there (said by the leader,
    number 0). `leaving`: the step from the epoch before is not done."""

    broker: str
    number: int
    shards: int
    epoch: int = 1
    owners: tuple[tuple[int, int], ...]
    made: bool = False
    leaving: Leaving | None = None

    def of(self, number: int) -> "ShardMap":
        """The same, as another file has it."""
        return msgspec.structs.replace(self, number=number, made=number == 0, leaving=None)


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(ShardMap).decode


def even_map(broker: str, shards: int) -> ShardMap:
    """The map of a new broker: each file has as many places."""
    owners = tuple((-(-number * PLACES // shards), number) for number in range(shards))
    return ShardMap(broker=broker, number=0, shards=shards, owners=owners)


def owners_of(found: ShardMap) -> list[int]:
    """The number of the file of each place."""
    owners: list[int] = []
    ends = [first for first, _ in found.owners[1:]] + [PLACES]
    for (first, number), end in zip(found.owners, ends, strict=True):
        owners += [number] * (end - first)
    return owners


def runs_of(owners: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The `owners` of a map, by the file of each place."""
    return tuple(
        (place, number)
        for place, number in enumerate(owners)
        if not place or owners[place - 1] != number
    )


def text_of(found: ShardMap) -> str:
    """As it is written."""
    return _write(found).decode()


def map_of(text: str) -> ShardMap:
    """What was written."""
    return _read(text)


def read_map(rows: Rows) -> ShardMap | None:
    """What a file says; None for one that stands alone."""
    record = rows.records.find(SHARD, [MAP], 0.0).get(MAP)
    return None if record is None else _read(record.value)


def write_map(rows: Rows, found: ShardMap, now: float) -> None:
    """Let a file say so. What was chosen by another one, and its stamp, is declined."""
    rows.records.put(Put(kind=SHARD, key=MAP, value=text_of(found)), 1, now)
    cast(SqliteRows, rows).renew_stamp()
