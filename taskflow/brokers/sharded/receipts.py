"""Which file a receipt is of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat

import msgspec

from taskflow.broker.change import Change, Settlement
from taskflow.brokers.sharded.shard_map import MOST_SHARDS
from taskflow.message import Delivery

_NUMBERS = {str(number): number for number in range(MOST_SHARDS)}


class Receipts:
    """Knows the file of a receipt, and what became of those of messages that were lent while they
    were moved to another file."""

    def __init__(self) -> None:
        self._moved: Mapping[str, str] = {}
        self._files = self._most = 0

    def follow(self, files: int, most: int, moved: Mapping[str, str]) -> None:
        """So many files there are now, up to so many may there have been before, and these receipts
        are others."""
        self._files, self._most, self._moved = files, most, moved

    def _now(self, receipt: str) -> str:
        if receipt not in self._moved:
            return receipt
        seen = set[str]()  # whoever died as it came back has left a circle
        while receipt in self._moved and receipt not in seen:
            seen.add(receipt)
            receipt = self._moved[receipt]
        return receipt

    def is_one(self, receipt: str) -> bool:
        """Whether it may have been given by this broker."""
        mark, _, rest = receipt.partition("/")
        return bool(rest) and _NUMBERS.get(mark, MOST_SHARDS) < self._most

    def file_of(self, receipt: str) -> int | None:
        """Its number; None for a receipt that is none of this broker."""
        mark, _, rest = self._now(receipt).partition("/")
        number = _NUMBERS.get(mark, MOST_SHARDS) if rest else MOST_SHARDS
        return number if number < self._files else None

    def one_file(self, receipts: Sequence[str]) -> int | None:
        """The file of all of these, which are as they were given; None where that is not so."""
        mark, slash, _ = receipts[0].partition("/")
        number, start = _NUMBERS.get(mark, MOST_SHARDS), mark + slash
        if not slash or self._moved or number >= self._files:
            return None
        return number if all(map(str.startswith, receipts, repeat(start))) else None

    def known(self, delivery: Delivery) -> Delivery:
        """As it is lent now; with an empty receipt when it is none of this broker's: stale in any
        file."""
        receipt = self._now(delivery.receipt)
        if self.file_of(receipt) is None:
            receipt = ""
        return delivery if receipt == delivery.receipt else replace(delivery, receipt=receipt)

    def change(self, change: Change) -> Change:
        """With what it settles as it is lent now."""
        if not self._moved:
            return change
        return msgspec.structs.replace(
            change,
            fence=None if change.fence is None else self.known(change.fence),
            settlements=[self._settlement(one) for one in change.settlements],
        )

    def _settlement(self, one: Settlement) -> Settlement:
        return msgspec.structs.replace(one, delivery=self.known(one.delivery))
