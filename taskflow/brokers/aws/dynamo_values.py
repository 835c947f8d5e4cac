"""DynamoValues: the text of records; what is too long for an item of DynamoDB lies in items of its
own, which are written before it and removed after it."""

from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Any

from taskflow.brokers.aws.dynamo_table import DynamoTable, Item, Key
from taskflow.errors import BrokerUnavailable

INLINE = 200_000  # bytes of a value in its record's item; an item may have 400 KB, names and all
PART = 350_000  # bytes of one item of a longer one
_TRIES = 5  # of reading a value that is being replaced


class DynamoValues:
    """Thread-safe."""

    def __init__(self, table: DynamoTable, random: Random) -> None:
        self._table = table
        self._random = random

    def write(self, value: str, ttl: Item) -> dict[str, Any]:
        """What a record's item says of its value. `ttl` is what the item says of its end."""
        data = value.encode()
        if len(data) <= INLINE:
            return {"value": {"S": value}}
        id = f"{self._random.getrandbits(128):032x}"
        parts = [data[start : start + PART] for start in range(0, len(data), PART)]
        for at, part in enumerate(parts):
            key = {"pk": {"S": id}, "sk": {"S": _part(at)}}
            self._table.put({**key, "part": {"B": part}, **ttl})
        return {"value_id": {"S": id}, "parts": {"N": str(len(parts))}}

    def read(self, items: Mapping[Key, Item]) -> dict[Key, tuple[Item, str]]:
        """The items with the values of their records; without those that went meanwhile. Another
        one than was given is as it is now."""
        found: dict[Key, tuple[Item, str]] = {}
        left = dict(items)
        for _ in range(_TRIES):
            keys = [key for item in left.values() for key in _parts(item)]
            parts = self._table.get(keys) if keys else {}
            torn = []
            for key, item in left.items():
                value = _value(item, parts)
                if value is None:
                    torn.append(key)
                else:
                    found[key] = item, value
            if not torn:
                return found
            left = self._table.get(torn)  # it was replaced, or it went
        raise BrokerUnavailable(
            f"a value in table {self._table.name!r} was replaced {_TRIES} times while it was read"
        )

    def remove(self, item: Item | None) -> None:
        """Remove what lies beside an item that is no more; what cannot be removed now stays, and
        nobody reads it."""
        with suppress(BrokerUnavailable):
            for key in _parts(item or {}):
                self._table.delete(key)


def _part(at: int) -> str:
    return f"value#{at:04}"


def _parts(item: Item) -> list[Key]:
    if "value_id" not in item:
        return []
    return [(item["value_id"]["S"], _part(at)) for at in range(int(item["parts"]["N"]))]


def _value(item: Item, parts: Mapping[Key, Item]) -> str | None:
    """None for one whose parts are not there."""
    if "value" in item:
        text: str = item["value"]["S"]
        return text
    keys = _parts(item)
    if not keys or not all(key in parts for key in keys):
        return None
    return b"".join(bytes(parts[key]["part"]["B"]) for key in keys).decode()
