"""Settling what was received: each receipt says in which file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from taskflow.broker.settings import Claim, Finish, Lease
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.stored.receipts import received_at
from taskflow.message import Delivery

E = TypeVar("E")
A = TypeVar("A")


class Settler:
    """Thread-safe. Each verb is one transaction in each file that it is about."""

    def __init__(self, shards: Sequence[Shard], receipts: Receipts) -> None:
        self._shards = shards
        self._receipts = receipts

    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        """Acknowledge."""
        return self._each(
            [
                replace(one, delivery=known) if known is not one.delivery else one
                for one in entries
                for known in [self._receipts.known(one.delivery)]
            ],
            lambda one: one.delivery,
            lambda shard, some: shard.broker.delete(some, fence=fence),
        )

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """How each receipt stands."""
        return self._each(
            [self._receipts.known(one) for one in deliveries],
            lambda one: one,
            lambda shard, some: shard.broker.leases(some),
        )

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        """Hide messages anew: their holder is done with them for now."""
        return self._each(
            self._timed(entries),
            lambda one: one[0],
            lambda shard, some: shard.broker.change_visibility(some, fence=fence),
        )

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Keep leases."""
        return self._each(
            self._timed(entries),
            lambda one: one[0],
            lambda shard, some: shard.broker.extend(some),
        )

    def _timed(self, entries: Iterable[tuple[Delivery, E]]) -> list[tuple[Delivery, E]]:
        return [(self._receipts.known(delivery), other) for delivery, other in entries]

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Make messages visible, as if they had not been received."""
        return self._each(
            [self._receipts.known(one) for one in deliveries],
            lambda one: one,
            lambda shard, some: shard.broker.give_back(some),
        )

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """Move messages to the DLQ of their queue, within its file."""
        return self._each(
            self._timed(entries),
            lambda one: one[0],
            lambda shard, some: shard.broker.dead_letter(some),
            whole=True,
        )

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """A queue holds an event once, in one file, and lends it to one receipt."""
        return self._each(
            deliveries,
            lambda one: one,
            lambda shard, some: shard.broker.claim(some),
        )

    def received_at(self, receipts: Sequence[str]) -> list[float | None]:
        """When each was given; None for what is no receipt of this broker."""
        return received_at(
            [one if self._receipts.file_of(one) is not None else "" for one in receipts]
        )

    def _each(
        self,
        entries: Sequence[E],
        delivery_of: Callable[[E], Delivery],
        settle: Callable[[Shard, Sequence[E]], list[A]],
        whole: bool = False,
    ) -> list[A]:
        """One call of `settle` for each file, answers in the order of entries; all of it or
        nothing, if it is to be `whole`."""
        files = [self._receipts.file_of(delivery_of(one).receipt) or 0 for one in entries]
        if not files:
            return []
        if len(set(files)) == 1:
            return settle(self._shards[files[0]], entries)
        shards = [self._shards[number] for number in sorted(set(files))]

        def settle_all() -> list[A]:
            answers: dict[int, A] = {}
            for shard in shards:
                places = [at for at, number in enumerate(files) if number == shard.number]
                some = settle(shard, [entries[at] for at in places])
                answers.update(zip(places, some, strict=True))
            return [answers[at] for at in range(len(entries))]

        return locked(shards, settle_all, durable=False) if whole else settle_all()
