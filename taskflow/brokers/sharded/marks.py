"""Marks that rise in all files of a broker, by which one that came back from an older copy is told.

The leader's rises when all others are on disk with the one it has, and theirs when the leader is.
So they have the same or the one before, whoever dies; a file that has another missed what the
others went through.
"""

from pathlib import Path

import msgspec

from taskflow.broker.change import Put
from taskflow.brokers.sharded.shard_map import SHARD
from taskflow.errors import BrokerFileError
from taskflow.stores.rows import Rows

MARK = "mark"
EVERY = 600.0
"""Seconds from one mark to the next, while somebody does the broker's upkeep."""


class Mark(msgspec.Struct, frozen=True):
    """The value of a record that lies in every file; `at` is when it was made, in epoch seconds."""

    number: int = 0
    at: float = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it is time for the next one. (Clocks go back, too.)"""
        return not self.at <= now < self.at + EVERY


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def read_mark(rows: Rows) -> Mark:
    """What a file says; the first one for a file that has none."""
    record = rows.records.find(SHARD, [MARK], 0.0).get(MARK)
    return Mark() if record is None else _decode(record.value)


def raise_mark(rows: Rows, mark: Mark) -> None:
    """Let a file say so, unless it says more."""
    if read_mark(rows).number < mark.number:
        put = Put(kind=SHARD, key=MARK, value=_encode(mark).decode())
        rows.records.put(put, 1, mark.at)


def check_marks(marks: list[tuple[Path, Mark]]) -> None:
    """Raise BrokerFileError for a file, or a leader, of another time than the others; the leader is
    the first."""
    leader, first = marks[0]
    for path, mark in marks[1:]:
        if not first.number - 1 <= mark.number <= first.number:
            older = path if mark.number < first.number else leader
            newer = leader if older is path else path
            raise BrokerFileError(
                f"{older} is an older copy than {newer}: what was stored and handled since is not "
                "in it; bring the right one back, or all of them from one backup. If there is "
                "none, `taskflow shards --take-older` goes on with what is there"
            )
