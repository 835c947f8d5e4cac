"""DynamoAttempts: changes that are too large for one transaction of DynamoDB, and how they ended.

What such a change makes is written before, each item with the id of the attempt (`part_of`). Until
an item says that the attempt is done, nobody sees what is part of it. Whoever wants to write where
such a part lies ends the attempt first, so that it will never be done.
"""

import threading
from collections.abc import Collection
from contextlib import suppress
from random import Random
from typing import Any

from taskflow import forking
from taskflow.brokers.aws.client import ConditionFailed
from taskflow.brokers.aws.dynamo_table import DynamoTable, Item, Key
from taskflow.clock import Clock
from taskflow.coordination.record_store import Contended
from taskflow.errors import BrokerUnavailable

PATIENCE = 60.0  # seconds that an attempt is given before another ends it
_KNOWN = 10_000  # attempts that a process keeps in mind


class DynamoAttempts:
    """Thread-safe."""

    def __init__(self, table: DynamoTable, clock: Clock, random: Random) -> None:
        self._table = table
        self._clock = clock
        self._random = random
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._done: dict[str, None] = {}

    def begin(self) -> str:
        """The id of a new one, which says when it began."""
        return f"{self._clock.now()!r}/{self._random.getrandbits(96):024x}"

    def done(self, ids: Collection[str]) -> set[str]:
        """Which of these are done."""
        with self._lock:
            known = {id for id in ids if id in self._done}
        asked = sorted(set(ids) - known)
        found = {
            key[0]
            for key, item in (self._table.get([_key(id) for id in asked]) if asked else {}).items()
            if item["status"]["S"] == "done"
        }
        with self._lock:
            self._done.update(dict.fromkeys(found))
            while len(self._done) > _KNOWN:
                del self._done[next(iter(self._done))]
        return known | found

    def finish(self, id: str) -> dict[str, Any]:
        """The write that makes an attempt done, unless it was ended."""
        return {"Put": {"Item": _item(id, "done"), **_NEW}}

    def give_up(self, id: str) -> None:
        """End an attempt of one's own, unless it is done; if that cannot be now, time does it."""
        with suppress(ConditionFailed, BrokerUnavailable):
            self._table.put(_item(id, "ended"), **_NEW)

    def end(self, id: str) -> None:
        """End another's attempt. Raises Contended while that may be at it still, or when it is
        done."""
        marker = self._table.get([_key(id)]).get(_key(id))
        if marker is None:
            if self._clock.now() - float(id.partition("/")[0]) < PATIENCE:
                raise Contended
            try:
                self._table.put(_item(id, "ended"), **_NEW)
            except ConditionFailed:
                raise Contended from None
        elif marker["status"]["S"] == "done":
            raise Contended


_NEW = {"ConditionExpression": "attribute_not_exists(pk)"}


def _key(id: str) -> Key:
    return id, "attempt"


def _item(id: str, status: str) -> Item:
    return {"pk": {"S": id}, "sk": {"S": "attempt"}, "status": {"S": status}}
