"""Which events a queue has finished: kept in this process, or in a DynamoDB table for all.

The table has the text key `id` (`queue|topic|event id`) and the number `until` (epoch seconds),
which may be its TTL attribute; old items are ignored whether DynamoDB has dropped them or not.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

import math
import threading
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from taskflow.brokers.aws.client import Api

KEPT = 200_000  # keys kept in this process
_READ, _WRITTEN = 100, 25  # items of one request
_ROUNDS = 5  # times that what DynamoDB left undone is asked for again


class Records(Protocol):
    """Keys are (id, topic) pairs of a queue."""

    def remember(self, queue: str, keys: Sequence[tuple[str, str, float]], now: float) -> None:
        """Keep (id, topic, until) of a queue."""
        ...

    def finished(
        self, queue: str, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]:
        """Which of these are kept and not past their time."""
        ...


class MemoryRecords:
    """For this process alone. Thread-safe; the oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def remember(self, queue: str, keys: Sequence[tuple[str, str, float]], now: float) -> None:
        with self._lock:
            for id, topic, until in keys:
                self._until.pop((queue, id, topic), None)
                self._until[queue, id, topic] = until
            while len(self._until) > KEPT:
                del self._until[next(iter(self._until))]

    def finished(
        self, queue: str, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]:
        with self._lock:
            return {key for key in keys if self._until.get((queue, *key), 0.0) > now}


class DynamoRecords:
    """In a DynamoDB table. Raises BrokerUnavailable, or LimitExceeded for one that is not there."""

    def __init__(self, api: Api, table: str) -> None:
        self._api = api
        self._table = table

    def remember(self, queue: str, keys: Sequence[tuple[str, str, float]], now: float) -> None:
        items = {_key(queue, id, topic): {"N": str(math.ceil(until))} for id, topic, until in keys}
        puts = [
            {"PutRequest": {"Item": {"id": {"S": key}, "until": until}}}
            for key, until in items.items()
        ]
        for start in range(0, len(puts), _WRITTEN):
            wanted: Any = {self._table: puts[start : start + _WRITTEN]}
            for _ in range(_ROUNDS):
                answer = self._api.call(
                    "dynamodb", "batch_write_item", self._table, RequestItems=wanted
                )
                wanted = answer.get("UnprocessedItems")
                if not wanted:
                    break

    def finished(
        self, queue: str, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]:
        by_key = {_key(queue, id, topic): (id, topic) for id, topic in keys}
        texts = list(by_key)
        found: set[tuple[str, str]] = set()
        for start in range(0, len(texts), _READ):
            chosen = [{"id": {"S": text}} for text in texts[start : start + _READ]]
            wanted: Any = {self._table: {"Keys": chosen, "ConsistentRead": True}}
            for _ in range(_ROUNDS):
                answer = self._api.call(
                    "dynamodb", "batch_get_item", self._table, RequestItems=wanted
                )
                for item in answer.get("Responses", {}).get(self._table, ()):
                    if float(item["until"]["N"]) > now:
                        found.add(by_key[item["id"]["S"]])
                wanted = answer.get("UnprocessedKeys")
                if not wanted:
                    break
        return found


def _key(queue: str, id: str, topic: str) -> str:
    return f"{queue}|{topic}|{id}"
