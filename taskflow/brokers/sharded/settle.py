"""Settling what was received: each receipt says in which file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

from taskflow.broker.settings import Claim, Finish, Lease
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.stored.receipts import received_at
from taskflow.message import Delivery

E = TypeVar("E")
A = TypeVar("A")
_of_delivery: Callable[[Delivery], str] = attrgetter("receipt")
_of_finish: Callable[[Finish], str] = attrgetter("delivery.receipt")


class Settler:
    """Thread-safe. Each verb is one transaction in each file that it is about."""

    def __init__(self, course: Course, shards: Sequence[Shard], receipts: Receipts) -> None:
        self._steady = course.steady
        self._shards = shards
        self._receipts = receipts

    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        """Acknowledge."""

        def known(one: Finish) -> Finish:
            delivery = self._receipts.known(one.delivery)
            if delivery is one.delivery:
                return one
            return msgspec.structs.replace(one, delivery=delivery)

        return self._each(
            entries,
            known,
            _of_finish,
            lambda shard, some: shard.broker.delete(some, fence=fence),
        )

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """How each receipt stands."""
        return self._each_delivery(deliveries, lambda shard, some: shard.broker.leases(some))

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        """Hide messages anew: their holder is done with them for now."""
        return self._each_pair(
            list(entries),
            lambda shard, some: shard.broker.change_visibility(some, fence=fence),
        )

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Keep leases."""
        return self._each_pair(entries, lambda shard, some: shard.broker.extend(some))

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Make messages visible, as if they had not been received."""
        return self._each_delivery(deliveries, lambda shard, some: shard.broker.give_back(some))

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """Move messages to the DLQ of their queue, within its file."""
        return self._each_pair(
            entries, lambda shard, some: shard.broker.dead_letter(some), whole=True
        )

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """A queue holds an event once, in one file, and lends it to one receipt."""
        if len(deliveries) == 1 and self._is_unfinished(deliveries[0]):
            return ["free"]
        return self._each_delivery(deliveries, lambda shard, some: shard.broker.claim(some))

    def _is_unfinished(self, delivery: Delivery) -> bool:
        """As `Coordinator.is_unfinished`: nothing is looked up, so no map is needed."""
        number = self._receipts.file_of(delivery.receipt)
        try:
            return number is not None and self._shards[number].broker.is_unfinished(delivery)
        except MapChanged:
            return False

    def received_at(self, receipts: Sequence[str]) -> list[float | None]:
        """When each was given; None for what is no receipt of this broker."""
        return received_at([one if self._receipts.is_one(one) else "" for one in receipts])

    def _each_delivery(
        self,
        entries: Sequence[Delivery],
        settle: Callable[[Shard, Sequence[Delivery]], list[A]],
    ) -> list[A]:
        return self._each(entries, self._receipts.known, _of_delivery, settle)

    def _each_pair(
        self,
        entries: Sequence[tuple[Delivery, E]],
        settle: Callable[[Shard, Sequence[tuple[Delivery, E]]], list[A]],
        whole: bool = False,
    ) -> list[A]:
        def known(one: tuple[Delivery, E]) -> tuple[Delivery, E]:
            return self._receipts.known(one[0]), one[1]

        return self._each(entries, known, lambda one: one[0].receipt, settle, whole)

    def _each(
        self,
        entries: Sequence[E],
        known: Callable[[E], E],
        receipt_of: Callable[[E], str],
        settle: Callable[[Shard, Sequence[E]], list[A]],
        whole: bool = False,
    ) -> list[A]:
        """One call of `settle` for each file, answers in the order of entries; all of it or
        nothing, if it is to be `whole`."""
        if not entries:
            return []

        def settle_alike() -> list[A] | None:
            """Where all are of one file, as they are mostly."""
            number = self._receipts.one_file(list(map(receipt_of, entries)))
            return None if number is None else settle(self._shards[number], entries)

        if (done := self._steady(settle_alike)) is not None:
            return done
        answers: dict[int, A] = {}

        def by_file() -> tuple[Sequence[E], dict[int, list[int]]]:
            now = [known(one) for one in entries]
            files: dict[int, list[int]] = {}
            for at, one in enumerate(now):
                if at not in answers:
                    number = self._receipts.file_of(receipt_of(one)) or 0
                    files.setdefault(number, []).append(at)
            return now, files

        def settle_next() -> Mapping[int, A]:
            now, files = by_file()
            number, places = next(iter(files.items()))
            some = now if len(places) == len(now) else [now[at] for at in places]
            return dict(zip(places, settle(self._shards[number], some), strict=True))

        def settle_all() -> Mapping[int, A]:
            now, files = by_file()
            shards = [self._shards[number] for number in sorted(files)]

            def settle_each() -> dict[int, A]:
                made: dict[int, A] = {}
                for shard in shards:
                    places = files[shard.number]
                    some = settle(shard, [now[at] for at in places])
                    made.update(zip(places, some, strict=True))
                return made

            return locked(shards, settle_each, durable=False)

        while len(answers) < len(entries):
            answers.update(self._steady(settle_all if whole else settle_next))
        return [answers[at] for at in range(len(entries))]
