"""What is in a receipt of a stored broker: the row, and the lease, which tells its time; before
them the number of its file, if it is one of several."""

import re
from collections.abc import Sequence

from taskflow.message import Delivery
from taskflow.stores.row import ANY, Held

_STALE = Held(-1, -1)
_FORM = re.compile(r"(?:[0-9]{1,4}/)?[0-9]{1,19}\.[0-9]{1,19}")
_TIME_BITS = 20  # below the milliseconds: random ones, and three flags (`stores.row`)


def new_lease(now: float, random_bits: int) -> int:
    """The number of a lease given now; the three lowest bits are free for flags. `random_bits` are
    17."""
    return int(now * 1000) << _TIME_BITS | random_bits << 3


def held(delivery: Delivery, fenced: bool = True) -> Held:
    """What a receipt says; a malformed one holds nothing. Not fenced, it stands for every receipt
    of its message."""
    receipt = delivery.receipt
    seq, _, lease = receipt[receipt.find("/") + 1 :].partition(".")
    try:
        found = Held(int(seq), int(lease))
    except ValueError:
        return _STALE
    if found.receipt < 1 << _TIME_BITS:  # what was parked or paced has a small number, and no owner
        return _STALE
    return found if fenced else Held(found.seq, ANY)


def received_at(receipts: Sequence[str]) -> list[float | None]:
    """When each was given (epoch seconds, to the millisecond); None for what is no receipt."""
    return [_time_of(receipt) for receipt in receipts]


def _time_of(receipt: str) -> float | None:
    if not _FORM.fullmatch(receipt):
        return None
    seq, lease = map(int, receipt[receipt.find("/") + 1 :].split("."))
    return (lease >> _TIME_BITS) / 1000 if max(seq, lease) < 2**63 else None
