"""Records, keys and notes of changes as items of a DynamoDB table, and back.

| pk | sk | holds |
|---|---|---|
| the record's key | `record#` and its kind | its fields; `number`; what the indexes need |
| the key | `key` | `holder`, `held_until` |
| the change's id | `change` | `answer`, `noted_until` |
| the id of a value | `value#` and a number | `part`: some of a value that is too long for an item |
| the id of an attempt | `attempt` | `status`: `done` or `ended` |

`until` is when DynamoDB may drop an item (its TTL): it has expired then, and is read as if it were
not there, whether it was dropped or not. The indexes, and what their keys are made of:

| index | key | order | items |
|---|---|---|---|
| `listed` | `kind` | `number` | every record |
| `children` | `family`: kind and parent | `number` | records with a parent |
| `due` | `due_kind` | `due_order`: due time and number | records with a due time |
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from taskflow.broker.record import Record
from taskflow.brokers.aws.dynamo_table import Item, Key, number, read_key
from taskflow.coordination.record_queries import due_order
from taskflow.coordination.record_store import Holding, Kept, Note, RecordName
from taskflow.errors import BrokerUnavailable

LONGEST_SORT_KEY = 1000  # bytes; DynamoDB takes 1024
_TEXTS = ("parent", "label", "state")
_TIMES = ("due_at", "expires_at")
_NUMBERS = ("version", "count", "created_at", "changed_at")


def record_key(name: RecordName) -> Key:
    """Where a record lies; of a kind that is too long for a key, its digest."""
    kind, key = name
    if len(kind.encode()) > LONGEST_SORT_KEY - len("record#"):
        kind = f"sha256#{sha256(kind.encode()).hexdigest()}"
    return key, f"record#{kind}"


def holding_key(key: str) -> Key:
    """Where a key of `change.Take` lies."""
    return key, "key"


def note_key(id: str) -> Key:
    """Where it is noted what a change was answered."""
    return id, "change"


def family(kind: str, parent: str) -> str:
    """What the children of a parent have in common; of long names their digest."""
    text = f"{len(kind)}:{kind}#{parent}"
    return text if len(text.encode()) <= 2000 else sha256(text.encode()).hexdigest()


def write_record(kept: Kept) -> dict[str, Any]:
    """A record as an item, without its key and value."""
    record = kept.record
    item: dict[str, Any] = {
        "kind": {"S": record.kind},
        "key": {"S": record.key},
        "number": number(kept.number),
        **{name: number(getattr(record, name)) for name in _NUMBERS},
    }
    for name in _TEXTS:
        if (text := getattr(record, name)) is not None:
            item[name] = {"S": text}
    for name in _TIMES:
        if (time := getattr(record, name)) is not None:
            item[name] = number(time)
    if record.parent is not None:
        item["family"] = {"S": family(record.kind, record.parent)}
    if record.due_at is not None:
        item["due_kind"] = {"S": record.kind}
        item["due_order"] = {"S": due_order(record.due_at, kept.number)}
    return {**item, **_ttl(record.expires_at)}


@contextmanager
def _reading(item: Item) -> Iterator[None]:
    """Raises BrokerUnavailable for an item that is not ours."""
    try:
        yield
    except (KeyError, ValueError) as error:
        raise BrokerUnavailable(
            f"the item {read_key(item)!r} is not ours: {type(error).__name__}: {error}"
        ) from error


def read_record(item: Item, value: str) -> Kept:
    """The record in an item, whose value may lie elsewhere. Raises BrokerUnavailable for an item
    that is not ours, as the others that read do."""
    with _reading(item):
        fields: dict[str, Any] = {name: item[name]["S"] for name in _TEXTS if name in item}
        fields |= {name: float(item[name]["N"]) for name in _TIMES if name in item}
        record = Record(
            kind=item["kind"]["S"],
            key=item["key"]["S"],
            version=int(item["version"]["N"]),
            value=value,
            count=int(item["count"]["N"]),
            created_at=float(item["created_at"]["N"]),
            changed_at=float(item["changed_at"]["N"]),
            **fields,
        )
        return Kept(record, int(item["number"]["N"]))


def write_holding(holding: Holding) -> dict[str, Any]:
    """Who has a key, as an item without its key."""
    item: dict[str, Any] = {"holder": {"S": holding.holder}}
    if holding.until is not None:
        item["held_until"] = number(holding.until)
    return {**item, **_ttl(holding.until)}


def read_holding(item: Item) -> Holding:
    """Who has a key."""
    with _reading(item):
        until = item.get("held_until")
        return Holding(item["holder"]["S"], None if until is None else float(until["N"]))


def write_note(note: Note) -> dict[str, Any]:
    """What a change was answered, as an item without its key."""
    item = {"answer": {"S": note.answer}, "noted_until": number(note.expires_at)}
    return {**item, **_ttl(note.expires_at)}


def read_note(item: Item) -> Note:
    """What a change was answered."""
    with _reading(item):
        return Note(item["answer"]["S"], float(item["noted_until"]["N"]))


def _ttl(expires_at: float | None) -> dict[str, Any]:
    return {} if expires_at is None else {"until": number(math.ceil(expires_at))}


def same_as(item: Item | None) -> dict[str, Any]:
    """The condition that an item is still as it was read; None: it was not there."""
    if item is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    texts, names, values = [], {}, {}
    for at, name in enumerate(("version", "count", "holder", "held_until", "noted_until")):
        names[f"#{at}"] = name
        if name in item:
            texts.append(f"#{at} = :{at}")
            values[f":{at}"] = item[name]
        else:
            texts.append(f"attribute_not_exists(#{at})")
    return {
        "ConditionExpression": " AND ".join(texts),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
