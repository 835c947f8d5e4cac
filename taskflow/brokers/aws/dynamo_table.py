"""DynamoTable: the requests on one table of DynamoDB, in lists as long as one likes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskflow.brokers.aws.client import Api
from taskflow.errors import BrokerUnavailable

MOST_WRITES = 100  # of one transaction
READ = 100  # items of one request
_ROUNDS = 5  # times that DynamoDB may leave all of a request undone
Item = Mapping[str, Any]
Key = tuple[str, str]
"""The values of `pk` and `sk`."""


class DynamoTable:
    """Thread-safe. Raises LimitExceeded for a table that is not there, BrokerUnavailable, and
    ConditionFailed."""

    def __init__(self, api: Api, name: str) -> None:
        self.name = name
        self._api = api
        api.client("dynamodb")  # making one is not thread-safe, using it is

    def get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Items as the last write left them; without those that are not there."""
        found: dict[Key, Item] = {}
        for start in range(0, len(keys), READ):
            chosen = [write_key(key) for key in keys[start : start + READ]]
            wanted: Any = {self.name: {"Keys": chosen, "ConsistentRead": True}}
            in_vain = 0
            while wanted:
                answer = self._call("batch_get_item", RequestItems=wanted)
                items = answer.get("Responses", {}).get(self.name, ())
                found |= {read_key(item): item for item in items}
                wanted = answer.get("UnprocessedKeys")
                in_vain = 0 if items else in_vain + 1  # an answer has 16 MB at most
                if wanted and in_vain == _ROUNDS:
                    raise BrokerUnavailable(
                        f"DynamoDB left reads of table {self.name!r} undone {_ROUNDS} times: its "
                        "throughput is too low"
                    )
        return found

    def put(self, item: Item, **condition: Any) -> None:
        """Write one item."""
        self._call("put_item", TableName=self.name, Item=item, **condition)

    def delete(self, key: Key) -> None:
        """Remove one item, if it is there."""
        self._call("delete_item", TableName=self.name, Key=write_key(key))

    def write(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """All of these, each a `Put` or `Delete` with its condition, or nothing."""
        named = [
            {verb: {"TableName": self.name, **what} for verb, what in one.items()} for one in writes
        ]
        if len(named) > 1:
            self._call("transact_write_items", TransactItems=named)
            return
        for verb, what in named[0].items():  # a write alone costs half as much
            self._call("put_item" if verb == "Put" else "delete_item", **what)

    def query(self, index: str, limit: int | None, **asked: Any) -> Iterator[list[Item]]:
        """What an index says of items, in its order, by pages of `limit` at most; it may lag
        behind the items by a moment."""
        place: dict[str, Any] = {} if limit is None else {"Limit": limit}
        while True:
            answer = self._call("query", TableName=self.name, IndexName=index, **asked, **place)
            yield answer.get("Items", [])
            if not answer.get("LastEvaluatedKey"):
                return
            place["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _call(self, method: str, **params: Any) -> Any:
        return self._api.call("dynamodb", method, self.name, **params)


def write_key(key: Key) -> dict[str, Any]:
    """A key as DynamoDB takes it."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def read_key(item: Item) -> Key:
    """The key of an item."""
    return item["pk"]["S"], item["sk"]["S"]


def number(value: float) -> dict[str, str]:
    """A number as DynamoDB takes it."""
    return {"N": repr(value)}
