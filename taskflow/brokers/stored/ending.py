"""Runs that end, many at once: each a record that is written anew, and a message that goes."""

from collections import Counter
from collections.abc import Sequence

from taskflow.broker.change import Applied, Change, Put
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.change_limits import LONGEST_NAME, check_change
from taskflow.brokers.stored.finishing import Finishing
from taskflow.limits import is_fifo
from taskflow.stores.rows import Rows

_VERSIONS = 2**63


def only_end(changes: Sequence[Change]) -> bool:
    """Whether these do that and nothing else. (So nothing of one depends on another of them.)"""
    for one in changes:
        if one.counters or one.sends or one.keys or one.id is not None:
            return False
        if len(one.records) != 1 or len(one.settlements) != 1 or one.fence is None:
            return False
        record, settlement = one.records[0], one.settlements[0]
        if not isinstance(record, Put) or not 0 < (record.expected or 0) < _VERSIONS:
            return False
        if not isinstance(settlement, Finish) or settlement.delivery is not one.fence:
            return False
        if is_fifo(one.fence.queue):
            return False
    return True


def end_all(
    rows: Rows, changes: Sequence[Change], now: float, handled: Counter[int], rings: set[str]
) -> list[Applied] | None:
    """Make all of them, and answer each as `Application` would; None when one of them would be
    refused, or needs more than this: what was done is to be undone then. Raises LimitExceeded for
    what cannot be stored."""
    puts: list[Put] = []
    answers: list[Applied] = []
    finishing = Finishing()
    checked: set[tuple[str | None, ...]] = set()
    for change in changes:
        put, settlement = change.records[0], change.settlements[0]
        assert isinstance(put, Put)
        assert put.expected is not None
        assert isinstance(settlement, Finish)
        names = (put.kind, put.parent, put.label, put.state)
        if names not in checked or not put.key.isascii() or len(put.key) > LONGEST_NAME:
            check_change(change)
            checked.add(names)
        puts.append(put)
        if put.rings:
            rings.add(ring_of(put.kind, put.key))
        settled: list[bool] = []
        finishing.add(settlement, settled)
        answers.append(Applied(versions=[put.expected + 1], counts=[], sent=[], settled=settled))
    if not rows.records.replace(puts, now) or not finishing.make(rows, now, handled, rings):
        return None
    return answers
