"""Where things lie in a broker of several files: each id and each key has one of 1,024 places."""

import re
from zlib import crc32

from taskflow.limits import is_fifo

PLACES = 1024
FIFO_PLACE = 0
"""Of all FIFO topics and queues: one file keeps their order, and what they deduplicate by."""
_BITS = PLACES - 1
_ROOT = re.compile(r"[^.~:@^\n]{0,50}")
"""What an id begins with that was made of another one: a child's, a generation's, a tick's. (Fifty
characters, as `tasks.child_ids` leaves of a long one.)"""
_NAMED_AFTER_IDS = ("schedule/",)


def place_of(id: str) -> int:
    """Where a message or a record of this id lies, with all whose ids were made of it. An id that
    was made here (a UUIDv7) says it in its last bits; of any other one its beginning counts, up to
    the first of `. ~ : @ ^` and newline."""
    if id[14:15] == "7" and id[8:9] == id[13:14] == id[18:19] == id[23:24] == "-":
        try:
            return int(id[33:36], 16) & _BITS
        except ValueError:
            pass
    found = _ROOT.match(id)
    return hash_of("" if found is None else found[0])


def place_of_key(key: str) -> int:
    """Where a unique key lies, or a rate, or a lease of one among many: one that is named after
    something with an id lies where that does."""
    for prefix in _NAMED_AFTER_IDS:
        if key.startswith(prefix):
            return place_of(key.removeprefix(prefix))
    return hash_of(key)


def hash_of(text: str) -> int:
    """A place for a text: always the same."""
    return crc32(text.encode(errors="surrogatepass")) & _BITS


def new_place(broker: object, many: bool = False) -> int | None:
    """Where something new is to lie that belongs to nothing else, or `many` such things together;
    None where the broker does not care. (One of several files does, by a method of this name.)"""
    place = getattr(broker, "new_place", None)
    return None if place is None else place(many)


def place_beside(queue: str, id: str, slot: str | None) -> int:
    """Where the message lies that has this id, in a queue, and shares this limit: what its handler
    sends is stored beside it."""
    if is_fifo(queue):
        return FIFO_PLACE
    return place_of(id) if slot is None else hash_of(slot)


def place_of_call(queue: str, key: str | None, slot: str | None, place: int | None) -> int | None:
    """Where a call of a task is to lie: with its unique key; with all of a FIFO queue; with those
    that share its limit; or where the caller says, if it does."""
    if key is not None:
        return place_of_key(key)
    if is_fifo(queue):
        return FIFO_PLACE
    if slot is not None:
        return hash_of(slot)
    return place
