"""What the statements on messages have in common: columns, joins, conditions."""

from collections.abc import Mapping

from taskflow.stores.row import HIGH, LOW, NORMAL, PARKED_AT

COLUMNS = """m.seq, p.id, p.topic, m.receive_count, m.first_received_at, m.sent_at, m.visible_at,
             p.source, coalesce(p.body, s.body), coalesce(p.attributes, s.attributes),
             CASE WHEN p.shared IS NULL THEN p.extra ELSE s.extra END,
             m.receipt, m.level, m.slot"""
"""The fields of a `Row`."""
WITH_PAYLOAD = """CROSS JOIN LATERAL (SELECT * FROM tf.payload x WHERE x.seq = m.seq LIMIT 1) p
             LEFT JOIN LATERAL (SELECT * FROM tf.shared_body y WHERE y.number = p.shared LIMIT 1) s
                 ON true"""
"""Joins a message `m` to what does not change of it: row by row, whatever the planner thinks of the
size of an empty table."""
OF_ITS_OWN = "($2::int8[])[array_position($1::int8[], m.seq)]"
"""Of a list of receipts that of a row, by its place in the list of numbers: as a join, it would
leave the planner to choose which side to go through."""
PARKED = "9e15"
"""PARKED_AT, written as in the condition of its index."""
assert float(PARKED) == PARKED_AT
AT_LEVEL = {HIGH: "m.level = 0", NORMAL: "m.level IS NULL", LOW: "m.level = 2"}
"""The condition for each level, as its index is chosen by it."""
LEVEL_OF: Mapping[str | None, int | None] = {"high": HIGH, "low": LOW}
"""By the priority of a message; of any other one it is NORMAL."""
FRESH = "(m.receipt IS NULL OR m.receipt & 2 <> 0)"
"""Of rows whose last lease did not lapse (`row.SPOKEN`)."""
BESIDE = f"({FRESH} OR m.receipt & 5 = 1)"
"""Of those, and of bystanders (`row.AHEAD`, `row.CROWD`): they may come beside a suspect."""


def in_hash(column: str, some: str) -> str:
    """The condition that a statement answers a value, looked up in a hash of all that it answers.
    `IS TRUE` keeps the planner from making a join of it: the only kind that connections leave it
    goes through the one list for each row of the other, 25 million steps for 5,000 messages."""
    return f"({column} IN ({some})) IS TRUE"
