"""Which file a receipt is of."""

from collections.abc import Sequence
from dataclasses import replace

from taskflow.brokers.sharded.shard import Shard
from taskflow.message import Delivery


class Receipts:
    """Knows the file of a receipt."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._numbers = {str(shard.number): shard.number for shard in shards}

    def file_of(self, receipt: str) -> int | None:
        """Its number; None for a receipt that is none of this broker."""
        mark, _, rest = receipt.partition("/")
        return self._numbers.get(mark) if rest else None

    def known(self, delivery: Delivery) -> Delivery:
        """Itself; with an empty receipt when it is none of this broker's: stale in any file."""
        known = self.file_of(delivery.receipt) is not None
        return delivery if known else replace(delivery, receipt="")
