"""Settler: what becomes of received messages: deleted, hidden, given back, dead-lettered."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from taskflow.broker.settings import Finish, Lease
from taskflow.brokers.aws.attribute_codec import Parcel
from taskflow.brokers.aws.claims import Claims
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.lent_messages import LentMessages
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.receipts import Receipts, read_receipt
from taskflow.brokers.aws.request_batches import cut_by_size, failed, send_batch
from taskflow.brokers.aws.resend import as_letter, carry, copy
from taskflow.brokers.aws.tally import Tally
from taskflow.clock import Clock
from taskflow.errors import BrokerError, LimitExceeded
from taskflow.limits import MAX_MESSAGE_BYTES, MAX_VISIBILITY, check_seconds, is_fifo
from taskflow.message import Delivery
from taskflow.uninterrupted import uninterrupted
from taskflow.wire.queue_attributes import MAX_DELAY

log = logging.getLogger("taskflow.aws")

_T = TypeVar("_T")


class Settler:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        receipts: Receipts,
        lent: LentMessages,
        claims: Claims,
        payloads: Payloads | None,
        tally: Tally,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._receipts = receipts
        self._lent = lent
        self._claims = claims
        self._payloads = payloads
        self._tally = tally

    # ---- delete -----------------------------------------------------------------------------
    @uninterrupted
    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        return self._by_queue(entries, lambda entry: entry.delivery, partial(self._delete, fence))

    def _delete(self, fence: bool, queue: str, entries: Sequence[Finish]) -> list[bool]:
        now = self._clock.now()
        refused = {"stale", "gone", "lapsed"} if is_fifo(queue) else {"stale", "gone"}
        if not fence and not is_fifo(queue):
            refused.discard("stale")
        held = [self._receipts.lease(entry.delivery, now) not in refused for entry in entries]
        chosen = [entry for entry, ok in zip(entries, held, strict=True) if ok]
        # The record first: a crash in between means a duplicate that is recognized.
        self._claims.finish([one for one in chosen if one.remember])
        self._claims.release([one.delivery for one in chosen if not one.remember])
        dropped = self._lent.drop(queue, [entry.delivery for entry in chosen])
        self._acknowledge(
            queue, [one.delivery for one, ok in zip(chosen, dropped, strict=True) if ok]
        )
        done = iter(dropped)
        return [ok and next(done) for ok in held]

    def _acknowledge(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        """Remove the payloads of handled messages that are in S3."""
        if self._payloads is None:
            return
        for one in deliveries:
            receipt = read_receipt(one.receipt)
            if receipt is None or receipt.payload is None:
                continue
            try:  # who reads dead letters is done with them for the queue that they came from
                self._payloads.acknowledge(receipt.payload, one.source or queue)
            except BrokerError as error:
                log.warning("queue %s: a payload stays: %s", queue, error)

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """As far as this process knows; of what it does not know, by the lease's time."""
        now = self._clock.now()
        return [
            self._receipts.lease(one, now) or ("held" if one.visible_at > now else "lapsed")
            for one in deliveries
        ]

    # ---- visibility -------------------------------------------------------------------------
    @uninterrupted
    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        wanted = list(entries)
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))
        self._claims.release([delivery for delivery, _ in wanted])  # it is not being run any more
        return self._by_queue(wanted, lambda entry: entry[0], partial(self._change, fence))

    @uninterrupted
    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        answers = self._by_queue(entries, lambda entry: entry[0], partial(self._change, False))
        held = [delivery for (delivery, _), ok in zip(entries, answers, strict=True) if ok]
        self._claims.extend(held)
        return answers

    def _change(
        self, fence: bool, queue: str, entries: Sequence[tuple[Delivery, float]]
    ) -> list[bool]:
        now = self._clock.now()
        good = {"held", None, "stale"} if not fence and not is_fifo(queue) else {"held", None}
        far: list[tuple[Delivery, float]] = []
        near: list[tuple[Delivery, float]] = []
        order: list[list[tuple[Delivery, float]] | None] = []
        for delivery, seconds in entries:
            if self._receipts.lease(delivery, now) not in good:
                order.append(None)
            elif seconds > MAX_VISIBILITY and not is_fifo(queue):
                far.append((delivery, seconds))
                order.append(far)
            else:
                near.append((delivery, seconds))
                order.append(near)
        answers = {
            id(near): iter(self._lent.hide(near)),
            id(far): iter(self._send_later(queue, far)),
        }
        return [which is not None and next(answers[id(which)]) for which in order]

    def _send_later(self, queue: str, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Hide for more than twelve hours: a copy that is not due before takes the message's
        place, and goes on counting its attempts."""
        due = self._clock.now()
        copies = []
        for delivery, seconds in entries:
            carried = carry(delivery, attempts=delivery.receive_count, due=due + seconds)
            copies.append(copy(delivery, carried, DelaySeconds=MAX_DELAY))
        return self.replace(queue, queue, [delivery for delivery, _ in entries], copies)

    @uninterrupted
    def replace(
        self, queue: str, to: str, deliveries: Sequence[Delivery], copies: Sequence[Parcel]
    ) -> list[bool]:
        """Send copies, then delete the messages they replace."""
        if not copies:
            return []
        answers: list[bool] = []
        for batch in cut_by_size(copies, MAX_MESSAGE_BYTES):
            results = send_batch(
                lambda some: self._directory.on_queue(to, "send_message_batch", Entries=some),
                [parcel.entry for parcel in batch],
            )
            for parcel, result in zip(batch, results, strict=True):
                if failed(result):
                    log.warning("queue %s takes no %s: %s", to, parcel.id, result.get("Message"))
                answers.append(not failed(result))
        sent = [one for one, ok in zip(deliveries, answers, strict=True) if ok]
        self._lent.drop(queue, sent)
        self._claims.release(sent)
        self._tally.add_handled(queue, -len(sent))
        return answers

    @uninterrupted
    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """SQS goes on counting these receives; this process does not."""
        answers = self._by_queue(deliveries, lambda one: one, self._release)
        return answers

    def _release(self, queue: str, deliveries: Sequence[Delivery]) -> list[bool]:
        now = self._clock.now()
        held = [self._receipts.lease(one, now) not in ("stale", "gone") for one in deliveries]
        chosen = [one for one, ok in zip(deliveries, held, strict=True) if ok]
        for one in chosen:  # before it can be received again
            self._receipts.discount(one)
        self._claims.release(chosen)
        hidden = [one for one in chosen if one.visible_at > now]
        self._lent.hide([(one, 0.0) for one in hidden])
        return held

    # ---- dead letters -----------------------------------------------------------------------
    @uninterrupted
    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        return self._by_queue(entries, lambda entry: entry[0], self._bury)

    def _bury(self, queue: str, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        target = self._directory.settings(queue).dead_letter_queue
        if target is None:
            raise LimitExceeded(f"queue {queue!r} has no dead-letter queue")
        now = self._clock.now()
        refused = ("stale", "gone", "lapsed") if is_fifo(queue) else ("stale", "gone")
        held = [self._receipts.lease(one, now) not in refused for one, _ in entries]
        chosen = [entry for entry, ok in zip(entries, held, strict=True) if ok]
        letters = [as_letter(delivery, failure) for delivery, failure in chosen]
        done = self.replace(queue, target, [delivery for delivery, _ in chosen], letters)
        self._tally.add_dead(queue, sum(done))
        answers = iter(done)
        return [ok and next(answers) for ok in held]

    # ---- messages that are not for a worker -------------------------------------------------
    @uninterrupted
    def put_off(
        self,
        *,
        early: Sequence[tuple[Delivery, float]] = (),
        late: Sequence[tuple[Delivery, float]] = (),
        bury: Sequence[tuple[Delivery, str]] = (),
        give_back: Sequence[Delivery] = (),
    ) -> None:
        """Hide messages again, dead-letter others, give back others. To be `late` is no attempt,
        and that it is none to be `early` is reckoned from the time."""
        try:
            if early:
                self.change_visibility(early)
            if late:
                answers = self.change_visibility(late)
                for (delivery, _), ok in zip(late, answers, strict=True):
                    if ok:
                        self._receipts.discount(delivery)
            if bury:
                self.dead_letter(bury)
            if give_back:
                self.give_back(give_back)
        except BrokerError as error:
            count = len(early) + len(late) + len(bury) + len(give_back)
            log.warning("%d messages return when their leases end: %s", count, error)

    # ---- of several queues ------------------------------------------------------------------
    @staticmethod
    def _by_queue(
        entries: Sequence[_T],
        delivery_of: Callable[[_T], Delivery],
        settle: Callable[[str, Sequence[_T]], list[bool]],
    ) -> list[bool]:
        """One call of `settle` per queue, answers in the order of entries."""
        by_queue: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            by_queue.setdefault(delivery_of(entry).queue, []).append(index)
        answers = [False] * len(entries)
        for queue, indexes in by_queue.items():
            settled = settle(queue, [entries[index] for index in indexes])
            for index, ok in zip(indexes, settled, strict=True):
                answers[index] = ok
        return answers
