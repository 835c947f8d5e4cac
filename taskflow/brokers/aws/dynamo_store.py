"""DynamoStore: pauses, rates, leases and reports in a DynamoDB table, that of `DynamoRecords`.

Their keys begin with `~`, which no queue's name does:

| id | holds |
|---|---|
| `~paused` | `names`: the queues that are paused |
| `~bucket|name` | `tokens` at the time `at`, `version` |
| `~lease|name` | `holder`, `held_until` |
| `~workers` | `names`: ids of workers, since items cannot be listed by a part of their key |
| `~worker|id` | `seen_at`, `report` (JSON) |
| `~identity` | the values by their names, with `=` before each |

`until` is when DynamoDB may drop an item (its TTL); none is needed by then.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

import math
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from taskflow import forking
from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.client import Api, ConditionFailed
from taskflow.buckets import Bucket, drawn, tokens_in
from taskflow.errors import BrokerUnavailable

SKEW = 5.0  # seconds that the clocks of hosts may differ without being taken for set back
KEPT = 86_400.0  # seconds after which DynamoDB may drop what nobody has touched
LONG_SILENT = 60.0  # seconds after which a worker may have been taken off the list
_READ = 100  # items of one request
_TRIES = 20  # of a write that others were faster with
_ROUNDS = 5  # times that what DynamoDB left undone is asked for again
_read = msgspec.json.Decoder(WorkerReport).decode
_Found = tuple[Bucket | None, int]
"""A bucket and its version."""


class DynamoStore:
    """The contract is `coordination_store.CoordinationStore`. Raises LimitExceeded for a table that
    is not there."""

    remote = True

    def __init__(self, api: Api, table: str) -> None:
        self._api = api
        api.client("dynamodb")  # making one is not thread-safe, using it is
        self._table = table
        self._buckets: dict[str, _Found] = {}  # as last seen: a first try needs no look
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    # ---- pauses -----------------------------------------------------------------------------
    def pause(self, queue: str, paused: bool) -> None:
        self._change_set("~paused", "ADD" if paused else "DELETE", [queue])

    def paused(self) -> frozenset[str]:
        return frozenset(self._get("~paused").get("names", {}).get("SS", ()))

    # ---- rates ------------------------------------------------------------------------------
    def take(self, name: str, per_second: float, tokens: float, now: float) -> float:
        id = f"~bucket|{name}"
        with self._lock:
            seen = self._buckets.get(name)
        if seen is None or not tokens:
            seen = _read_bucket(self._get(id))
        for _ in range(_TRIES):
            bucket, version = seen
            if not tokens and (bucket is None or bucket[1] <= now + SKEW):
                return tokens_in(bucket, per_second, now)
            left = drawn(bucket, per_second, tokens, now, SKEW)
            try:
                self._put_bucket(id, left, version, now)
            except ConditionFailed as error:  # another was faster, and this is what it left
                seen = _read_bucket(error.item)
                continue
            with self._lock:
                self._buckets[name] = left, version + 1
            return left[0]
        raise BrokerUnavailable(
            f"the bucket {name!r} in table {self._table!r} changed {_TRIES} times while it was "
            "being taken from"
        )

    def _put_bucket(self, id: str, bucket: Bucket, seen: int, now: float) -> None:
        """Write a bucket in place of version `seen` (0: there was none). Raises ConditionFailed."""
        tokens, at = bucket
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if seen:
            condition = {
                "ConditionExpression": "#version = :seen",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":seen": _number(seen)},
            }
        item = {"tokens": _number(tokens), "at": _number(at), "version": _number(seen + 1)}
        self._call(
            "put_item",
            Item={"id": {"S": id}, **item, "until": _number(math.ceil(now + KEPT))},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **condition,
        )

    # ---- one of many ------------------------------------------------------------------------
    def hold(self, name: str, holder: str, seconds: float, now: float) -> bool:
        until = now + seconds
        try:
            self._call(
                "put_item",
                Item={
                    "id": {"S": f"~lease|{name}"},
                    "holder": {"S": holder},
                    "held_until": _number(until),
                    "until": _number(math.ceil(until + KEPT)),
                },
                ConditionExpression="attribute_not_exists(id) OR holder = :me"
                " OR held_until <= :now",
                ExpressionAttributeValues={":me": {"S": holder}, ":now": _number(now)},
            )
        except ConditionFailed:
            return False
        return True

    # ---- workers ----------------------------------------------------------------------------
    def report(self, worker: WorkerReport) -> None:
        answer = self._call(
            "put_item",
            Item={
                "id": {"S": f"~worker|{worker.id}"},
                "seen_at": _number(worker.seen_at),
                "report": {"S": msgspec.json.encode(worker).decode()},
                "until": _number(math.ceil(worker.seen_at + KEPT)),
            },
            ReturnValues="ALL_OLD",
        )
        before = answer.get("Attributes")
        if not before or worker.seen_at - float(before["seen_at"]["N"]) > LONG_SILENT:
            self._change_set("~workers", "ADD", [worker.id])

    def retire(self, worker_id: str) -> None:
        self._drop([worker_id])

    def _drop(self, ids: list[str]) -> None:
        """Off the list first: whoever reports in between loses that report, finds none before its
        next one, and so is listed again."""
        self._change_set("~workers", "DELETE", ids)
        for id in ids:
            self._call("delete_item", Key={"id": {"S": f"~worker|{id}"}})

    def workers(self, since: float, drop_before: float) -> list[WorkerReport]:
        ids = self._get("~workers").get("names", {}).get("SS", ())
        items = self._get_all([f"~worker|{id}" for id in ids])
        found = {_name(item): item for item in items}
        old = [
            id for id in ids if id not in found or float(found[id]["seen_at"]["N"]) < drop_before
        ]
        if old:
            self._drop(old)
        return [
            _read(item["report"]["S"])
            for _, item in sorted(found.items())
            if float(item["seen_at"]["N"]) >= since
        ]

    # ---- the wire server --------------------------------------------------------------------
    def identity(self) -> dict[str, str]:
        item = self._get("~identity")
        return {name[1:]: text["S"] for name, text in item.items() if name.startswith("=")}

    def set_identity(self, values: Mapping[str, str]) -> None:
        if not values:
            return
        self._call(
            "update_item",
            Key={"id": {"S": "~identity"}},
            UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in range(len(values))),
            ExpressionAttributeNames={f"#{n}": f"={name}" for n, name in enumerate(values)},
            ExpressionAttributeValues={
                f":{n}": {"S": text} for n, text in enumerate(values.values())
            },
        )

    def close(self) -> None:
        """The connections are those of `Api`."""

    # ---- requests ---------------------------------------------------------------------------
    def _call(self, method: str, **params: Any) -> Any:
        return self._api.call("dynamodb", method, self._table, TableName=self._table, **params)

    def _get(self, id: str) -> Mapping[str, Any]:
        """An item; empty when there is none."""
        answer = self._call("get_item", Key={"id": {"S": id}}, ConsistentRead=True)
        found: Mapping[str, Any] = answer.get("Item") or {}
        return found

    def _get_all(self, ids: list[str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(ids), _READ):
            keys = [{"id": {"S": id}} for id in ids[start : start + _READ]]
            wanted: Any = {self._table: {"Keys": keys, "ConsistentRead": True}}
            for _ in range(_ROUNDS):
                answer = self._api.call(
                    "dynamodb", "batch_get_item", self._table, RequestItems=wanted
                )
                found += answer.get("Responses", {}).get(self._table, ())
                wanted = answer.get("UnprocessedKeys")
                if not wanted:
                    break
            else:
                raise BrokerUnavailable(
                    f"DynamoDB left reads of table {self._table!r} undone {_ROUNDS} times: its "
                    "throughput is too low"
                )
        return found

    def _change_set(self, id: str, action: str, names: list[str]) -> None:
        """Add to a set of names, or take from it: several at once lose nothing of each other's."""
        self._call(
            "update_item",
            Key={"id": {"S": id}},
            UpdateExpression=f"{action} #names :names",
            ExpressionAttributeNames={"#names": "names"},
            ExpressionAttributeValues={":names": {"SS": names}},
        )


def _read_bucket(item: Mapping[str, Any]) -> _Found:
    if "version" not in item:
        return None, 0
    return (float(item["tokens"]["N"]), float(item["at"]["N"])), int(item["version"]["N"])


def _name(item: Mapping[str, Any]) -> str:
    """The name in an item's key."""
    id: str = item["id"]["S"]
    return id.partition("|")[2]


def _number(value: float) -> dict[str, str]:
    return {"N": repr(value)}
