"""What a change writes to DynamoDB, and in which transactions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from taskflow.brokers.aws.dynamo_items import same_as
from taskflow.brokers.aws.dynamo_table import MOST_WRITES, Item, Key, write_key
from taskflow.errors import LimitExceeded

MOST_BYTES = 3_000_000  # of the values of one transaction; DynamoDB takes 4 MB, names and all


class Write(NamedTuple):
    """An item to be written, or removed (None), if it is as it was read (`before`).

    `makes`: nobody saw one there. `alone`: it may be written apart from the rest of its change,
    and again."""

    key: Key
    item: Item | None
    before: Item | None
    makes: bool = False
    alone: bool = False

    def as_part(self, attempt: str) -> "Write":
        """Itself, to be seen when the attempt is done."""
        return self._replace(item={**(self.item or {}), "part_of": {"S": attempt}})

    def request(self) -> dict[str, Any]:
        """As an entry of a transaction."""
        if self.item is None:
            return {"Delete": {"Key": write_key(self.key), **same_as(self.before)}}
        return {"Put": {"Item": {**write_key(self.key), **self.item}, **same_as(self.before)}}

    @property
    def size(self) -> int:
        """Bytes of its value, the most of it."""
        return len((self.item or {}).get("value", {"S": ""})["S"].encode())


class Split(NamedTuple):
    """A change in the order that it is written in: `parts`, which are not seen yet; `early`, a
    transaction each; and `last`, which is the change."""

    parts: Sequence[Sequence[Write]]
    early: Sequence[Sequence[Write]]
    last: Sequence[Write]


def split(writes: Sequence[Write]) -> Split:
    """What fits into one transaction is `last`. Else what it makes are parts; and of what it
    overwrites and removes the first go early, so that its last entries are the last to happen.
    Raises LimitExceeded when what must happen together is too much for DynamoDB."""
    if len(writes) <= MOST_WRITES and _size(writes) <= MOST_BYTES:
        return Split((), (), writes)
    made = [one for one in writes if one.makes]
    together = [one for one in writes if not one.makes and not one.alone]
    apart = [one for one in writes if not one.makes and one.alone]
    room = MOST_WRITES - 1 - len(together)  # the attempt's own item is in it
    if room < 0:
        raise LimitExceeded(
            f"a change counts, takes and frees {len(together)} things at once; DynamoDB takes "
            f"{MOST_WRITES - 1}"
        )
    last = list[Write]()
    bytes_left = MOST_BYTES - _size(together)
    while apart and len(last) < room and apart[-1].size <= bytes_left:
        bytes_left -= apart[-1].size
        last.append(apart.pop())
    return Split(list(chunks(made)), list(chunks(apart)), [*together, *reversed(last)])


def chunks(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Some at a time, as many as one transaction takes."""
    some: list[Write] = []
    size = 0
    for one in writes:
        if some and (len(some) == MOST_WRITES or size + one.size > MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(one)
        size += one.size
    if some:
        yield some


def _size(writes: Iterable[Write]) -> int:
    return sum(one.size for one in writes)


def is_part(item: Mapping[str, Any]) -> str | None:
    """The attempt that an item is part of; None for one that is seen as it is."""
    found = item.get("part_of")
    return None if found is None else str(found["S"])
