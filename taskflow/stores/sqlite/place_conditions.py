"""Which rows of a file lie in certain places, as conditions of SQL."""

from collections.abc import Collection
from typing import Any

import apsw

from taskflow.limits import FIFO_SUFFIX
from taskflow.placing import PLACES, hash_of, place_of, place_of_key
from taskflow.stores.message_columns import read_extra
from taskflow.stores.sqlite.columns import encode

MOST_KEPT = 250_000
"""Places of ids that are kept while rows are looked through again and again: some 40 MB."""

_PLACES = "(SELECT value FROM json_each(:places))"
_TAILS = "(SELECT value FROM json_each(:tails))"
_MADE_HERE = " AND ".join(
    [
        *(f"substr({{0}}, {at}, 1) = '-'" for at in (9, 14, 19, 24)),
        "substr({0}, 15, 1) = '7'",
        "substr({0}, 34, 3) GLOB '[0-9a-f][0-9a-f][0-9a-f]'",
    ]
)
"""As `place_of` knows an id that says its place: asked without Python, and found by an index."""
_TAIL = "substr({0}, 34, 3)"
_PLAIN = "slot IS NULL AND source IS NULL AND " + _MADE_HERE.format("id")
_EXTRA = "(SELECT extra FROM body b WHERE b.seq = message.seq)"
_STANDARD_QUEUES = f"(SELECT id FROM queue WHERE name NOT GLOB '*{FIFO_SUFFIX}')"


def _either(table: str, key: str, plain: str, tail: str, place: str) -> str:
    """The keys of the rows of these places: those whose id says it, and all others."""
    return f"""SELECT {key} FROM {table} WHERE {plain} AND {tail} IN {_TAILS}
               UNION ALL SELECT {key} FROM {table} WHERE NOT ({plain}) AND {place} IN {_PLACES}"""


_MESSAGES = _either(
    "message",
    "queue, seq",
    _PLAIN,
    _TAIL.format("id"),
    f"""CASE WHEN slot IS NULL AND source IS NULL THEN place_of(id)
             ELSE place_of_row(id, topic, slot, {_EXTRA}) END""",
)
_RECORDS = _either(
    "record", "number", _MADE_HERE.format("key"), _TAIL.format("key"), "place_of(key)"
)
_FINISHES = _either(
    "finished", "queue, id, topic", _MADE_HERE.format("id"), _TAIL.format("id"), "place_of(id)"
)

STANDARD = f"+m.queue IN {_STANDARD_QUEUES} AND m.topic NOT GLOB '*{FIFO_SUFFIX}'"
MESSAGES = f"""({_MESSAGES}) l CROSS JOIN message m ON m.queue = l.queue AND m.seq = l.seq
               WHERE {STANDARD}"""
"""The messages, as what comes after FROM."""
FINISHED = f"""({_FINISHES}) l CROSS JOIN finished f
               ON f.queue = l.queue AND f.id = l.id AND f.topic = l.topic
               WHERE +f.queue IN {_STANDARD_QUEUES} AND f.topic NOT GLOB '*{FIFO_SUFFIX}'"""
OTHER_KINDS = "kind NOT IN (SELECT value FROM json_each(:kept))"
RECORD = f"number IN ({_RECORDS}) AND +{OTHER_KINDS}"
HOLDING = f"key NOT GLOB '~*' AND place_of_key(key) IN {_PLACES}"
BUCKET = f"place_of_key(name) IN {_PLACES}"
APPLIED = f"hash_of(id) IN {_PLACES}"
PLACE_OF_MESSAGE = f"""place_of_row(m.id, m.topic, m.slot, CASE WHEN m.slot IS NULL
    AND m.source IS NULL THEN NULL ELSE {_EXTRA.replace("message.", "m.")} END)"""

INDEXES = {
    "leaving_message": f"message ({_TAIL.format('id')}) WHERE {_PLAIN}",
    "leaving_message_other": f"message (id, topic, slot, source) WHERE NOT ({_PLAIN})",
    "leaving_record": f"record ({_TAIL.format('key')}) WHERE {_MADE_HERE.format('key')}",
    "leaving_record_other": f"record (key) WHERE NOT ({_MADE_HERE.format('key')})",
    "leaving_finished": f"finished ({_TAIL.format('id')}) WHERE {_MADE_HERE.format('id')}",
    "leaving_finished_other": f"finished (id) WHERE NOT ({_MADE_HERE.format('id')})",
}
"""Indexes by which rows are found that leave: there only while a file gives up places, since every
write pays for them. Whoever has the file open keeps them, by functions that SQLite has itself."""


class _Places(dict[str, int]):
    """The place of each id, so far."""

    def __missing__(self, id: str) -> int:
        if len(self) >= MOST_KEPT:
            self.clear()
        place = self[id] = place_of(id)
        return place


class Functions:
    """What these conditions ask of Python, over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known = False

    def learn(self) -> None:
        """From now on the connection has them."""
        if self._known:
            return
        functions: dict[str, tuple[Any, int]] = {
            "place_of": (_Places().__getitem__, 1),
            "place_of_key": (place_of_key, 1),
            "place_of_row": (place_of_row, 4),
            "hash_of": (hash_of, 1),
        }
        for name, (function, count) in functions.items():
            self._connection.create_scalar_function(name, function, count, deterministic=True)
        self._known = True


def place_of_row(id: str, topic: str, slot: str | None, extra: str | None) -> int:
    """As a message of a standard queue was placed when it was sent. (One that came from a topic and
    has a limit of its handler's lies where it did.)"""
    sent = read_extra(extra).slot
    limit = sent if topic or sent is not None else slot
    return place_of(id) if limit is None else hash_of(limit)


def given(places: Collection[int] | None, kept: Collection[str]) -> dict[str, Any]:
    some = sorted(places or ())
    tails = [f"{high * PLACES | place:03x}" for place in some for high in range(4096 // PLACES)]
    return {
        "places": encode(some).decode(),
        "tails": encode(tails).decode(),
        "kept": encode(sorted(kept)).decode(),
    }
