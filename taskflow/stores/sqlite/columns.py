"""What the statements on messages have in common: columns, conditions, lists as JSON."""

from collections.abc import Mapping

import msgspec

from taskflow.stores.row import HIGH, LOW, NORMAL, PARKED_AT

COLUMNS = """m.seq, m.id, m.topic, m.receive_count, m.first_received_at, m.sent_at,
             m.visible_at, m.source, p.body, p.attributes, p.extra, m.receipt, m.level, m.slot"""
PARKED = "9e15"
"""PARKED_AT, written as in the condition of its index."""
assert float(PARKED) == PARKED_AT
AT_LEVEL = {HIGH: "level = 0", NORMAL: "level IS NULL", LOW: "level = 2"}
"""The condition for each level, as its index is chosen by it."""
LEVEL_OF: Mapping[str | None, int | None] = {"high": HIGH, "low": LOW}
"""By the priority of a message; of any other one it is NORMAL."""
FRESH = "(m.receipt IS NULL OR m.receipt & 2)"
"""Of rows whose last lease did not lapse (`row.SPOKEN`)."""
BESIDE = f"({FRESH} OR m.receipt & 5 = 1)"
"""Of those, and of bystanders (`row.AHEAD`, `row.CROWD`): they may come beside a suspect."""
FRESH_LANES = f"""AND (SELECT {FRESH} FROM message m INDEXED BY message_lane
                       WHERE m.queue = ?1 AND m.lane = lane.name ORDER BY m.seq LIMIT 1)"""
encode = msgspec.json.Encoder(enc_hook=str).encode  # subclasses of str, such as EventId
