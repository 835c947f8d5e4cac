"""Adding many messages that are nothing but an id and a body: one statement for dozens."""

from collections.abc import Iterator, Sequence
from functools import cache

import apsw

from taskflow.message import Message
from taskflow.stores.message_columns import write_extra

_SIZES = (50, 10, 1)
"""How many a statement takes. To bind and run one for each message costs as much again."""


def is_plain(message: Message) -> bool:
    """Whether it has nothing that wants a column of its own."""
    return message.delay is None and not message.attributes and write_extra(message) is None


class PlainBatch:
    """What it adds is what `Insertion` and `SqliteBodies` add of such messages. Those of a batch
    have numbers one after the other."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute

    def add(
        self, queue: int, topic: str, first: int, due: float, now: float, ids: Sequence[str]
    ) -> int:
        """Add rows for a queue, but not for what it holds; answers how many."""
        before = self._connection.total_changes()
        for start, end in _parts(len(ids)):
            common = (queue, first + start, due, now, topic)
            self._execute(_rows_of(end - start), (*common, *ids[start:end]))
        return self._connection.total_changes() - before

    def add_bodies(self, first: int, bodies: Sequence[str]) -> None:
        """Add their bodies."""
        for start, end in _parts(len(bodies)):
            self._execute(_bodies_of(end - start), (first + start, *bodies[start:end]))


def _parts(count: int) -> Iterator[tuple[int, int]]:
    start = 0
    for size in _SIZES:
        while count - start >= size:
            yield start, start + size
            start += size


@cache
def _rows_of(count: int) -> str:
    rows = ", ".join(f"(?1, ?2 + {n}, ?3, ?4, ?{n + 6}, ?5)" for n in range(count))
    return f"""INSERT INTO message (queue, seq, visible_at, sent_at, id, topic) VALUES {rows}
               ON CONFLICT DO NOTHING"""


@cache
def _bodies_of(count: int) -> str:
    rows = ", ".join(f"(?1 + {n}, ?{n + 2}, '{{}}', NULL)" for n in range(count))
    return f"INSERT INTO body VALUES {rows}"
