"""What the statements on messages have in common: columns, conditions, lists as JSON."""

import msgspec

COLUMNS = """m.seq, m.id, m.topic, m.receive_count, m.first_received_at, m.sent_at,
             m.visible_at, m.source, p.body, p.attributes, p.extra, m.receipt"""
FRESH = "(m.receipt IS NULL OR m.receipt & 2)"
"""Of rows whose last lease did not lapse (`row.SPOKEN`)."""
FRESH_LANES = f"""AND (SELECT {FRESH} FROM message m INDEXED BY message_lane
                       WHERE m.queue = ?1 AND m.lane = lane.name ORDER BY m.seq LIMIT 1)"""
encode = msgspec.json.Encoder(enc_hook=str).encode  # subclasses of str, such as EventId
