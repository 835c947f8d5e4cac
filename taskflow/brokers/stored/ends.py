"""Ends of runs, which come in hundreds: a record in place of another, and its message gone."""

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

from taskflow.broker.change import Applied, Change, Put
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.change_limits import is_name, is_version
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.settle import finish
from taskflow.brokers.stored.waiters import RECORD
from taskflow.limits import is_fifo
from taskflow.stores.rows import Rows

_NONE_IS_NEW = repeat(0).__next__


class Ends(NamedTuple):
    """Changes that are such, in their order; what they acknowledge by queue."""

    puts: list[Put]
    finishes: dict[str, list[Finish]]


def read_ends(changes: Sequence[Change]) -> Ends | None:
    """None unless each does only that, and acknowledges the message that is its fence: then it is
    as if each were made by itself when all records are written first, if none is refused."""
    puts: list[Put] = []
    finishes: dict[str, list[Finish]] = {}
    if not changes:
        return None
    for change in changes:
        records, settlements = change.records, change.settlements
        if len(records) != 1 or len(settlements) != 1:
            return None
        if change.sends or change.keys or change.counters or change.id is not None:
            return None
        put, done = records[0], settlements[0]
        if type(put) is not Put or not put.expected or put.due_at is not None:
            return None
        if type(done) is not Finish or done.delivery is not change.fence:
            return None
        delivery = done.delivery
        if delivery.slot is not None:  # others may come once it has gone
            return None
        puts.append(put)
        if (some := finishes.get(delivery.queue)) is None:
            some = finishes[delivery.queue] = []
        some.append(done)
    keys, versions = [put.key for put in puts], [put.expected or 0 for put in puts]
    names: set[str | None] = {put.kind for put in puts}  # few, of however many
    names.update([put.state for put in puts], [put.label for put in puts])
    names.update([put.parent for put in puts])
    if (
        len(set(keys)) < len(keys)
        or not "".join(keys).isascii()  # how long they are is known of what is there
        or not is_version(max(versions))
        or any(map(is_fifo, finishes))
        or not all(one is None or is_name(one) for one in names)
    ):
        return None
    return Ends(puts, finishes)


def make_ends(rows: Rows, ends: Ends, now: float, rings: set[str]) -> bool:
    """Make them all; whether none was refused, else all must be undone, as when a BrokerError is
    raised."""
    puts = ends.puts
    if rows.records.put_all(puts, _NONE_IS_NEW, now) is None:
        return False
    for name, some in ends.finishes.items():
        queue = find_queue(rows, name)
        if not all(finish(rows, queue, some, now, fenced=True)):
            return False
    rings.update([f"{RECORD}{put.kind}/{put.key}" for put in puts if put.rings])
    return True


def answers_of(ends: Ends) -> list[Applied]:
    """What is answered of each."""
    return [Applied(versions=[(put.expected or 0) + 1], settled=[True]) for put in ends.puts]
