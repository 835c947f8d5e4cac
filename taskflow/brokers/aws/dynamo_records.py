"""Finished and running events in a DynamoDB table, for all workers.

The table has the text key `id` (`queue|topic|event id`), the number `until` (epoch seconds), which
may be its TTL attribute, and on what is being run the text `holder`. Items past their time are
ignored whether DynamoDB has dropped them or not.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from taskflow.brokers.aws.client import Api, ConditionFailed
from taskflow.coordination.event_records import Found, Held, Key, Run
from taskflow.errors import BrokerUnavailable

_READ, _WRITTEN = 100, 25  # items of one request
_ROUNDS = 5  # times that what DynamoDB left undone is asked for again
_NAMES = {"#until": "until"}  # a reserved word


class DynamoRecords:
    """The contract is `records.Records`. Raises LimitExceeded for a table that is not there."""

    remote = True

    def __init__(self, api: Api, table: str, random: Random) -> None:
        self._api = api
        api.client("dynamodb")  # making one is not thread-safe, using it is
        self._table = table
        self._holder = f"{random.getrandbits(96):024x}"
        self._held = Held()

    def claim(self, run: Run, until: float, now: float, take_over: bool) -> Found | None:
        condition = "attribute_not_exists(id) OR #until <= :now"
        if take_over:
            condition += " OR attribute_exists(holder)"
        try:
            self._call(
                "put_item",
                Item={"id": _id(run.key), "until": _number(until), "holder": {"S": self._holder}},
                ConditionExpression=condition,
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues={":now": {"N": repr(now)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as error:
            return Found("holder" not in error.item, float(error.item["until"]["N"]))
        self._held.add(run)
        return None

    def extend(self, runs: Iterable[tuple[Run, float]]) -> None:
        for run, until in runs:
            if run not in self._held:
                continue
            try:
                self._call(
                    "update_item",
                    Key={"id": _id(run.key)},
                    UpdateExpression="SET #until = :until",
                    ConditionExpression="holder = :me",
                    ExpressionAttributeNames=_NAMES,
                    ExpressionAttributeValues={":until": _number(until), ":me": self._me},
                )
            except ConditionFailed:  # finished meanwhile, or taken over
                self._held.drop(run)

    def release(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if not self._held.drop(run):
                continue
            with suppress(ConditionFailed):  # it is somebody else's by now
                self._call(
                    "delete_item",
                    Key={"id": _id(run.key)},
                    ConditionExpression="holder = :me",
                    ExpressionAttributeValues={":me": self._me},
                )

    def remember(self, keys: Sequence[tuple[Key, float]], now: float) -> None:
        items = dict(keys)
        puts = [
            {"PutRequest": {"Item": {"id": _id(key), "until": _number(math.ceil(until))}}}
            for key, until in items.items()
        ]
        for start in range(0, len(puts), _WRITTEN):
            wanted: Any = {self._table: puts[start : start + _WRITTEN]}
            for _ in range(_ROUNDS):
                wanted = self._ask("batch_write_item", wanted).get("UnprocessedItems")
                if not wanted:
                    break
            else:
                raise self._busy(wanted)
        for key in items:
            self._held.forget(key)

    def finished(self, keys: Collection[Key], now: float) -> set[Key]:
        by_id = {key.write(): key for key in keys}
        ids = list(by_id)
        found: set[Key] = set()
        for start in range(0, len(ids), _READ):
            chosen = [{"id": {"S": text}} for text in ids[start : start + _READ]]
            wanted: Any = {self._table: {"Keys": chosen, "ConsistentRead": True}}
            for _ in range(_ROUNDS):
                answer = self._ask("batch_get_item", wanted)
                for item in answer.get("Responses", {}).get(self._table, ()):
                    if "holder" not in item and float(item["until"]["N"]) > now:
                        found.add(by_id[item["id"]["S"]])
                wanted = answer.get("UnprocessedKeys")
                if not wanted:
                    break
            else:
                raise self._busy(wanted)
        return found

    def close(self) -> None:
        """The connections are those of `Api`."""

    # ---- requests ---------------------------------------------------------------------------
    @property
    def _me(self) -> dict[str, str]:
        return {"S": self._holder}

    def _call(self, method: str, **params: Any) -> None:
        self._api.call("dynamodb", method, self._table, TableName=self._table, **params)

    def _ask(self, method: str, wanted: Any) -> Any:
        return self._api.call("dynamodb", method, self._table, RequestItems=wanted)

    def _busy(self, left: Any) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"DynamoDB left {len(left)} requests on table {self._table!r} undone {_ROUNDS} times: "
            "its throughput is too low"
        )


def _id(key: Key) -> dict[str, str]:
    return {"S": key.write()}


def _number(until: float) -> dict[str, str]:
    return {"N": str(math.floor(until))}
