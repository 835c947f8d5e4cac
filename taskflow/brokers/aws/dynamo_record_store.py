"""DynamoRecordStore: records, keys and ids of changes in a DynamoDB table, for all hosts.

What lies where is said in `dynamo_items`. A change of up to a hundred things is one transaction,
each item on condition that it is as it was read. Of a larger one, what it makes is written before,
and is seen when its last transaction is done (`dynamo_attempts`); of what it overwrites and removes
the first are written in transactions of their own before that one.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws.client import Api, ConditionFailed
from taskflow.brokers.aws.dynamo_attempts import DynamoAttempts
from taskflow.brokers.aws.dynamo_items import (
    holding_key,
    note_key,
    read_holding,
    read_note,
    read_record,
    record_key,
    write_holding,
    write_note,
    write_record,
)
from taskflow.brokers.aws.dynamo_listing import DynamoListing
from taskflow.brokers.aws.dynamo_table import DynamoTable, Item, Key
from taskflow.brokers.aws.dynamo_values import DynamoValues
from taskflow.brokers.aws.dynamo_writes import Split, Write, is_part, split
from taskflow.clock import Clock
from taskflow.coordination.record_store import Contended, Kept, Names, Things
from taskflow.errors import LimitExceeded

_Items = Mapping[Key, Item]


class DynamoRecordStore:
    """The contract is `record_store.RecordStore`. Raises LimitExceeded for a table that is not
    there."""

    def __init__(self, api: Api, table: str, clock: Clock, random: Random) -> None:
        self._table = DynamoTable(api, table)
        self._values = DynamoValues(self._table, random)
        self._attempts = DynamoAttempts(self._table, clock, random)
        self._listing = DynamoListing(self._table, self._values, self._attempts)

    # ---- looks ------------------------------------------------------------------------------
    def read(self, names: Names) -> Things:
        return self._read(names)[1]

    def _read(self, names: Names) -> tuple[_Items, Things]:
        """The items as they lie there, and what is to be seen of them."""
        records = {record_key(name): name for name in names.records}
        keys = {holding_key(key): key for key in names.keys}
        notes = {note_key(id): id for id in names.changes}
        items = self._table.get([*records, *keys, *notes])
        kept = self._listing.load({key: items[key] for key in records if key in items})
        items |= {key: item for key, (item, _) in kept.items()}
        things = Things(
            records={records[key]: read_record(item, value) for key, (item, value) in kept.items()},
            keys={keys[key]: read_holding(items[key]) for key in keys if key in items},
            changes={notes[key]: read_note(items[key]) for key in notes if key in items},
        )
        return items, things

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        return self._listing.select(query, after, now)

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        return self._listing.count_by_state(kind, label, now)

    # ---- changes ----------------------------------------------------------------------------
    def change(self, names: Names, decide: Callable[[Things], Things]) -> None:
        items, seen = self._read(names)
        wanted = decide(seen)
        if not wanted:
            return
        for attempt in self._others(items, seen):
            self._attempts.end(attempt)
        writes = self._writes(items, seen, wanted)
        try:
            self._write(split(writes))
        except (ConditionFailed, LimitExceeded) as error:
            for one in writes:
                if _has_value_of_its_own(one):
                    self._values.remove(one.item)
            if isinstance(error, ConditionFailed):
                raise Contended from error
            raise
        for one in writes:
            if one.before is not None and not _keeps_value(one):
                self._values.remove(one.before)

    def _others(self, items: _Items, seen: Things) -> set[str]:
        """The attempts that left something where nobody sees it."""
        visible = {record_key(name) for name in seen.records}
        return {
            attempt
            for key, item in items.items()
            if key not in visible and (attempt := is_part(item)) is not None
        }

    def _writes(self, items: _Items, seen: Things, wanted: Things) -> list[Write]:
        writes = []
        for name, kept in wanted.records.items():
            key, before = record_key(name), seen.records.get(name)
            if kept is None:
                writes.append(Write(key, None, items[key], alone=True))
                continue
            counts = before is not None and before.record.count != kept.record.count
            item = self._item(kept, before, items.get(key))
            writes.append(Write(key, item, items.get(key), before is None, not counts))
        for text, holding in wanted.keys.items():
            key, held = holding_key(text), None if holding is None else write_holding(holding)
            writes.append(Write(key, held, items.get(key)))
        for id, note in wanted.changes.items():
            assert note is not None  # they only expire
            writes.append(Write(note_key(id), write_note(note), items.get(note_key(id))))
        return writes

    def _item(self, kept: Kept, before: Kept | None, old: Item | None) -> dict[str, Any]:
        item = write_record(kept)
        ttl = {"until": item["until"]} if "until" in item else {}
        if (
            before is not None
            and old is not None
            and "value_id" in old
            and before.record.value == kept.record.value
            and ttl == ({"until": old["until"]} if "until" in old else {})
        ):
            return {**item, "value_id": old["value_id"], "parts": old["parts"]}
        return {**item, **self._values.write(kept.record.value, ttl)}

    def _write(self, order: Split) -> None:
        if not order.parts and not order.early:
            self._table.write([one.request() for one in order.last])
            return
        attempt = self._attempts.begin()
        try:
            for some in order.parts:
                self._table.write([one.as_part(attempt).request() for one in some])
            for some in order.early:
                self._table.write([one.request() for one in some])
            last = [one.request() for one in order.last]
            if order.parts:
                last.append(self._attempts.finish(attempt))
            if last:
                self._table.write(last)
        except BaseException:
            if order.parts:
                self._attempts.give_up(attempt)
            raise

    # ---- keeping ----------------------------------------------------------------------------
    def expire(self, now: float, limit: int) -> int:
        """DynamoDB drops items by itself, from their `until` on."""
        return 0

    def close(self) -> None:
        """The connections are those of `Api`."""


def _keeps_value(one: Write) -> bool:
    """Whether what lay beside the item before lies there still."""
    before, item = one.before or {}, one.item or {}
    return "value_id" not in before or before["value_id"] == item.get("value_id")


def _has_value_of_its_own(one: Write) -> bool:
    return "value_id" in (one.item or {}) and not (one.before is not None and _keeps_value(one))
