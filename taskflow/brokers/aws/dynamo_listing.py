"""DynamoListing: records of a DynamoDB table by page and filter.

An index says which items there are; each is then read as the last write left it, so what a page
says of a record is true now. What was made within the last moment may not be in the index yet.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.dynamo_attempts import DynamoAttempts
from taskflow.brokers.aws.dynamo_items import family, read_record
from taskflow.brokers.aws.dynamo_table import DynamoTable, Item, Key, number, read_key
from taskflow.brokers.aws.dynamo_values import DynamoValues
from taskflow.brokers.aws.dynamo_writes import is_part
from taskflow.coordination.record_queries import due_order, fits
from taskflow.coordination.record_store import Kept

_LAST_TURN = 10**19 - 1


class _Asked(NamedTuple):
    """A query of an index."""

    where: str
    order_by: str
    key: dict[str, Any]


class DynamoListing:
    """Thread-safe."""

    def __init__(self, table: DynamoTable, values: DynamoValues, attempts: DynamoAttempts) -> None:
        self._table = table
        self._values = values
        self._attempts = attempts

    def load(self, items: Mapping[Key, Item]) -> dict[Key, tuple[Item, str]]:
        """The items of records that are to be seen, with their values."""
        return self._values.read(self._visible(items))

    def _visible(self, items: Mapping[Key, Item]) -> dict[Key, Item]:
        attempts = {attempt for item in items.values() if (attempt := is_part(item)) is not None}
        done = self._attempts.done(attempts) if attempts else set()
        return {key: item for key, item in items.items() if is_part(item) in {None, *done}}

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        """A page, as `RecordStore.select` says."""
        asked = _ask(query, after)
        filters = _filters(query) if asked.where == "listed" else {}
        limit = None if filters.get("FilterExpression") else query.limit
        found: list[Kept] = []
        for items in self._table.query(asked.where, limit, **_merge(asked.key, filters)):
            order = {read_key(item): item[asked.order_by] for item in items}
            now_there = {
                key: item
                for key, item in self._table.get(list(order)).items()
                if item.get(asked.order_by) == order[key]  # else it comes where it is by now
            }
            loaded = self.load(now_there)
            for key in order:
                if key in loaded:
                    kept = read_record(*loaded[key])
                    if fits(kept.record, query, now) and not _is_behind(kept, query, after):
                        found.append(kept)
            if len(found) >= query.limit:
                break
        return found[: query.limit]

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        """As the index says, which may lag by a moment."""
        query = RecordQuery(kind=kind, label=label)
        counted: Counter[str] = Counter()
        asked = _merge(_merge(_ask(query, None).key, _filters(query)), _not_expired(now))
        for items in self._table.query("listed", None, **asked):
            for item in self._visible({read_key(one): one for one in items}).values():
                if "state" in item:
                    counted[item["state"]["S"]] += 1
        return dict(counted)


def _ask(query: RecordQuery, after: tuple[float, int] | None) -> _Asked:
    if query.order == "due":
        index, name, whose, order_by = "due", "due_kind", query.kind, "due_order"
        first = "" if after is None else due_order(*after)
        last = "~"
        if query.due_by is not None:
            last = due_order(query.due_by, _LAST_TURN)
        bounds = {":first": {"S": first or " "}, ":last": {"S": max(first or " ", last)}}
        condition = "#order BETWEEN :first AND :last"
    else:
        order_by = "number"
        index, name, whose = "listed", "kind", query.kind
        if query.parent is not None:
            index, name, whose = "children", "family", family(query.kind, query.parent)
        bounds, condition = {}, ""
        if after is not None:
            bounds = {":place": number(after[1])}
            condition = f"#order {'<' if query.order == 'newest' else '>'} :place"
    key: dict[str, Any] = {
        "KeyConditionExpression": "#whose = :whose" + (f" AND {condition}" if condition else ""),
        "ExpressionAttributeNames": {
            "#whose": name,
            **({"#order": order_by} if condition else {}),
        },
        "ExpressionAttributeValues": {":whose": {"S": whose}, **bounds},
        "ScanIndexForward": query.order != "newest",
    }
    return _Asked(index, order_by, key)


def _filters(query: RecordQuery) -> dict[str, Any]:
    """What DynamoDB leaves out by itself: of the index `listed`, which says enough."""
    texts = []
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    if query.label is not None:
        texts.append("#label = :label")
        names["#label"] = "label"
        values[":label"] = {"S": query.label}
    if query.states:
        states = sorted(query.states)
        texts.append(f"#state IN ({', '.join(f':s{at}' for at in range(len(states)))})")
        names["#state"] = "state"
        values |= {f":s{at}": {"S": state} for at, state in enumerate(states)}
    for sign, bound in ((">=", query.created_from), ("<", query.created_before)):
        if bound is not None:
            texts.append(f"#created {sign} :c{len(values)}")
            names["#created"] = "created_at"
            values[f":c{len(values)}"] = number(bound)
    if texts:
        return {
            "FilterExpression": " AND ".join(texts),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
    return {}


def _not_expired(now: float) -> dict[str, Any]:
    return {
        "FilterExpression": "(attribute_not_exists(#expires) OR #expires > :now)",
        "ExpressionAttributeNames": {"#expires": "expires_at"},
        "ExpressionAttributeValues": {":now": number(now)},
    }


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    for name in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        both[name] = {**one.get(name, {}), **other.get(name, {})}
    filters = [each["FilterExpression"] for each in (one, other) if "FilterExpression" in each]
    if filters:
        both["FilterExpression"] = " AND ".join(filters)
    return both


def _is_behind(kept: Kept, query: RecordQuery, after: tuple[float, int] | None) -> bool:
    """Whether a record is the last one of the page before."""
    if after is None or query.order != "due":
        return False
    return ((kept.record.due_at or 0.0), kept.number) <= after
