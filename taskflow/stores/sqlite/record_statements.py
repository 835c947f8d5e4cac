"""The statements that list records, in SQL; and what is written of one."""

from functools import lru_cache
from typing import Any

from taskflow.broker.change import Put
from taskflow.broker.record import Record

_FIELDS = Record.__struct_fields__
COLUMNS = ", ".join(f"r.{name}" for name in _FIELDS)
ALIVE = "(r.expires_at IS NULL OR r.expires_at > :now)"


@lru_cache(256)
def page_of(
    ordered: str,
    by_label: bool,
    states: int,
    by_parent: bool,
    since: bool,
    before: bool,
    by_due: bool,
    goes_on: bool,
) -> str:
    """The statement for a page of records."""
    index = "record_newest"
    conditions = ["r.kind = :kind", ALIVE]
    if by_label:
        conditions.append("r.label = :label")
        index = "record_label"
    if states == 1:
        conditions.append("r.state = :states ->> 0")
        index = "record_state"
    elif states:
        conditions.append("r.state IN (SELECT value FROM json_each(:states))")
    if by_parent:
        conditions.append("r.parent = :parent")
        index = "record_parent"
    if since:
        conditions.append("r.created_at >= :created_from")
    if before:
        conditions.append("r.created_at < :created_before")
    if by_due:
        conditions.append("r.due_at <= :due_by")
    order = "r.number DESC" if ordered == "newest" else "r.number"
    seen = f"r.number {'<' if ordered == 'newest' else '>'} :number"
    if ordered == "due":
        conditions.append("r.due_at IS NOT NULL")
        index = "record_due"
        order = "r.due_at, r.number"
        seen = "(r.due_at, r.number) > (:due, :number)"
    if goes_on:
        conditions.append(seen)
    return f"""SELECT r.number, {COLUMNS} FROM record r INDEXED BY {index}
               WHERE {" AND ".join(conditions)} ORDER BY {order} LIMIT :limit"""


def values_of(put: Put, now: float) -> tuple[Any, ...]:
    """What is written of a record, `now`: parameters ?1 to ?10."""
    return (
        put.kind,
        put.key,
        put.value,
        put.parent,
        put.label,
        put.state,
        put.due_at,
        put.expires_at,
        put.expected,
        now,
    )
