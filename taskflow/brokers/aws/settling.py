"""The broker verbs that settle, over AWS: delete, hide, give back, dead-letter; in batches of ten.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from taskflow.broker.settings import Finish, Lease
from taskflow.brokers.aws.attribute_codec import Parcel
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.polls import Polls
from taskflow.brokers.aws.queue_attributes import MAX_DELAY
from taskflow.brokers.aws.receipts import Receipts, read_receipt
from taskflow.brokers.aws.request_batches import cut, cut_by_size, failed, send_batch
from taskflow.brokers.aws.resend import as_letter, carry, copy
from taskflow.clock import Clock
from taskflow.coordination.memory import Key, Records, Run
from taskflow.errors import BrokerError, LimitExceeded
from taskflow.limits import MAX_MESSAGE_BYTES, MAX_VISIBILITY, check_seconds, is_fifo
from taskflow.message import Delivery

log = logging.getLogger("taskflow.aws")

CLAIM_MARGIN = 1  # seconds; clocks differ, and a lease lasts until the next whole second
_MARGIN = 1  # seconds that AWS's clock may be ahead of what is left of twelve hours
_T = TypeVar("_T")


class Settling:
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    _directory: Directory
    _receipts: Receipts
    _polls: Polls
    _records: Records
    _payloads: Payloads | None
    _parallel: Parallel
    _handled: dict[str, int]
    _dead: dict[str, int]

    # ---- delete -----------------------------------------------------------------------------
    def delete(self, entries: Sequence[Finish], older: bool = False) -> list[bool]:
        return self._by_queue(entries, lambda entry: entry.delivery, partial(self._delete, older))

    def _delete(self, older: bool, queue: str, entries: Sequence[Finish]) -> list[bool]:
        now = self.clock.now()
        refused = {"stale", "gone", "lapsed"} if is_fifo(queue) else {"stale", "gone"}
        if older and not is_fifo(queue):
            refused.discard("stale")
        held = [self._receipts.lease(entry.delivery, now) not in refused for entry in entries]
        chosen = [entry for entry, ok in zip(entries, held, strict=True) if ok]
        # The record first: a crash in between means a duplicate that is recognized.
        kept = [(run_of(one.delivery).key, now + one.remember) for one in chosen if one.remember]
        self._records.remember(kept, now)
        self._disclaim([one.delivery for one in chosen if not one.remember])
        dropped = self._drop(queue, [entry.delivery for entry in chosen])
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

    def _drop(self, queue: str, deliveries: Sequence[Delivery]) -> list[bool]:
        """Delete messages by their receipts, ten at a time."""
        answers = self._in_batches(
            queue,
            "delete_message_batch",
            [{"ReceiptHandle": _handle(delivery)} for delivery in deliveries],
        )
        for delivery, ok in zip(deliveries, answers, strict=True):
            if ok:
                self._receipts.settle(delivery)
        self._handled[queue] = self._handled.get(queue, 0) + sum(answers)
        return answers

    def _in_batches(
        self, queue: str, method: str, entries: Sequence[Mapping[str, Any]]
    ) -> list[bool]:
        """Whether each was done. Raises when a whole request failed."""

        def send(some: list[dict[str, Any]]) -> Any:
            return self._directory.on_queue(queue, method, Entries=some)

        answers: list[bool] = []
        batches = [partial(send_batch, send, batch) for batch in cut(entries)]
        for results in self._parallel.run(batches):
            if isinstance(results, BrokerError):
                raise results
            for result in results:
                if failed(result) and not result.get("SenderFault"):
                    log.warning("queue %s: %s: %s", queue, method, result.get("Message"))
                answers.append(not failed(result))
        return answers

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """As far as this process knows; of what it does not know, by the lease's time."""
        now = self.clock.now()
        return [
            self._receipts.lease(one, now) or ("held" if one.visible_at > now else "lapsed")
            for one in deliveries
        ]

    # ---- visibility -------------------------------------------------------------------------
    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], older: bool = False
    ) -> list[bool]:
        wanted = list(entries)
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))
        self._disclaim([delivery for delivery, _ in wanted])  # it is not being run any more
        return self._by_queue(wanted, lambda entry: entry[0], partial(self._change, older))

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        answers = self._by_queue(entries, lambda entry: entry[0], partial(self._change, False))
        now = self.clock.now()
        held = [delivery for (delivery, _), ok in zip(entries, answers, strict=True) if ok]
        try:
            self._records.extend((run_of(one), claimed_until(one, now)) for one in held)
        except BrokerError as error:
            log.warning("%d claims were not extended: %s", len(held), error)
        return answers

    def _change(
        self, older: bool, queue: str, entries: Sequence[tuple[Delivery, float]]
    ) -> list[bool]:
        now = self.clock.now()
        good = {"held", None, "stale"} if older and not is_fifo(queue) else {"held", None}
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
        answers = {id(near): iter(self._hide(near)), id(far): iter(self._send_later(queue, far))}
        return [which is not None and next(answers[id(which)]) for which in order]

    def _hide(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Hide messages of one queue, for what is left of twelve hours at most."""
        if not entries:
            return []
        now = self.clock.now()
        changes, timeouts = [], []
        for delivery, seconds in entries:
            receipt = read_receipt(delivery.receipt)
            passed = 0.0 if receipt is None else now - receipt.received_at
            left = max(0, int(MAX_VISIBILITY - passed) - _MARGIN)
            timeouts.append(min(math.ceil(seconds), left))
            changes.append({"ReceiptHandle": _handle(delivery), "VisibilityTimeout": timeouts[-1]})
        queue = entries[0][0].queue
        answers = self._in_batches(queue, "change_message_visibility_batch", changes)
        for (delivery, _), timeout, ok in zip(entries, timeouts, answers, strict=True):
            if ok:
                delivery.visible_at = now + timeout
                self._receipts.hide(delivery, delivery.visible_at)
        return answers

    def _send_later(self, queue: str, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Hide for more than twelve hours: a copy that is not due before takes the message's
        place, and goes on counting its attempts."""
        due = self.clock.now()
        copies = []
        for delivery, seconds in entries:
            carried = carry(delivery, attempts=delivery.receive_count, due=due + seconds)
            copies.append(copy(delivery, carried, DelaySeconds=MAX_DELAY))
        return self._replace(queue, queue, [delivery for delivery, _ in entries], copies)

    def _replace(
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
        self._drop(queue, sent)
        self._disclaim(sent)
        self._handled[queue] = self._handled.get(queue, 0) - len(sent)
        return answers

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """SQS goes on counting these receives; this process does not."""
        answers = self._by_queue(deliveries, lambda one: one, self._release)
        return answers

    def _release(self, queue: str, deliveries: Sequence[Delivery]) -> list[bool]:
        now = self.clock.now()
        held = [self._receipts.lease(one, now) not in ("stale", "gone") for one in deliveries]
        chosen = [one for one, ok in zip(deliveries, held, strict=True) if ok]
        for one in chosen:  # before it can be received again
            self._receipts.discount(one)
        self._disclaim(chosen)
        hidden = [one for one in chosen if one.visible_at > now]
        self._hide([(one, 0.0) for one in hidden])
        return held

    # ---- dead letters -----------------------------------------------------------------------
    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        return self._by_queue(entries, lambda entry: entry[0], self._bury)

    def _bury(self, queue: str, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        target = self._directory.settings(queue).dead_letter_queue
        if target is None:
            raise LimitExceeded(f"queue {queue!r} has no dead-letter queue")
        now = self.clock.now()
        refused = ("stale", "gone", "lapsed") if is_fifo(queue) else ("stale", "gone")
        held = [self._receipts.lease(one, now) not in refused for one, _ in entries]
        chosen = [entry for entry, ok in zip(entries, held, strict=True) if ok]
        letters = [as_letter(delivery, failure) for delivery, failure in chosen]
        done = self._replace(queue, target, [delivery for delivery, _ in chosen], letters)
        self._dead[queue] = self._dead.get(queue, 0) + sum(done)
        answers = iter(done)
        return [ok and next(answers) for ok in held]

    # ---- small parts ------------------------------------------------------------------------
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

    def _disclaim(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self._records.release(map(run_of, deliveries))
        except BrokerError as error:
            log.warning("%d claims end with their leases: %s", len(deliveries), error)


def run_of(delivery: Delivery) -> Run:
    """Who it is for the records."""
    return Run(Key(delivery.queue, delivery.id, delivery.topic), delivery.receipt)


def claimed_until(delivery: Delivery, now: float) -> float:
    """A claim ends before its lease: nobody who receives the message after it is in the way."""
    margin = CLAIM_MARGIN if delivery.visible_at - now > 3 * CLAIM_MARGIN else 0
    return math.floor(delivery.visible_at) - margin


def _handle(delivery: Delivery) -> str:
    receipt = read_receipt(delivery.receipt)
    return receipt.handle if receipt is not None else delivery.receipt
