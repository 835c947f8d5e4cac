"""The limits of slots: which of the rows that are due may start, and who comes next.

A row whose slot is full is parked: nobody looks at it until one of its slot is settled. So each
waits at the cost of two small writes, however many wait, and holds nobody else back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from taskflow.broker.settings import Limit
from taskflow.stores.row import PACED, Row


class SlotVerbs(Protocol):
    """What a store does with the rows of a queue that share slots."""

    def count_held(self, queue: int, slot: str, now: float) -> int:
        """How many rows of a slot are leased."""
        ...

    def draw(self, name: str, per_second: float, tokens: float, now: float) -> float:
        """As `Rows.draw`."""
        ...

    def pace(self, queue: int, seq: int, until: float) -> None:
        """Hide a row until its turn at a rate, which is paid for."""
        ...

    def park(self, queue: int, seqs: Sequence[int]) -> None:
        """Let nobody look at these rows until one of their slot is settled."""
        ...

    def unpark_some(self, queue: int, slots: Sequence[str]) -> bool:
        """As `Rows.unpark`, for who may change these slots."""
        ...


def admit(
    verbs: SlotVerbs, queue: int, rows: Sequence[Row], limits: Mapping[str, Limit], now: float
) -> list[Row]:
    """Of rows that are due, those that may start now. The others are parked, or hidden until their
    turn: that of a rate is paid for when it is given."""
    room: dict[str, int] = {}
    started: Counter[str] = Counter()
    admitted, parked = [], []
    for row in rows:
        limit = limits.get(row.slot.partition("\n")[0]) if row.slot is not None else None
        if row.slot is None or limit is None:
            admitted.append(row)
            continue
        if limit.most is not None:
            if row.slot not in room:
                room[row.slot] = limit.most - verbs.count_held(queue, row.slot, now)
            if room[row.slot] <= started[row.slot]:
                parked.append(row.seq)
                continue
        if limit.rate is not None and row.receipt != PACED and not row.lapsed:
            left = verbs.draw(f"slot {row.slot}", limit.rate, 1, now)
            if left < 0:
                verbs.pace(queue, row.seq, now - left / limit.rate)
                continue
        started[row.slot] += 1
        admitted.append(row)
    if parked:
        verbs.park(queue, parked)
    # Where there is more room than came, those that were parked before there was may come too.
    for slot, most in room.items():
        verbs.unpark_some(queue, [slot] * min(most - started[slot], started[slot]))
    return admitted
