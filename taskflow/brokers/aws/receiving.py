"""The broker verb `receive` over AWS, and what becomes of a message on its way to a worker.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from taskflow.brokers.aws.backlog import Backlog
from taskflow.brokers.aws.carriage import (
    LONGEST_HIDE,
    Carried,
    early_receives,
    look_into,
    read_seconds,
    unpack,
)
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.ledger import Ledger, Receipt, read_receipt
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.pointers import SIZES, Pointer, find_pointer
from taskflow.brokers.aws.polls import MAX_MESSAGES, Ask, Polls
from taskflow.brokers.aws.settling import Settling
from taskflow.clock import Clock
from taskflow.errors import BrokerError, LimitExceeded, OverLimit
from taskflow.limits import MAX_VISIBILITY, check_seconds
from taskflow.message import FAILURE, Delivery

log = logging.getLogger("taskflow.aws")

PAYLOAD_AGAIN = 5.0  # seconds until a payload that could not be fetched is asked for again


class Receiving(Settling):
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    _directory: Directory
    _ledger: Ledger
    _polls: Polls
    _payloads: Payloads | None
    _backlog: Backlog

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
    ) -> list[Delivery]:
        if not queues:
            raise LimitExceeded("receive names no queue; it needs one at least")
        if limit < 1:
            raise LimitExceeded(f"limit is {limit}; 1 or more is allowed")
        check_seconds("wait", wait, 0, float("inf"))
        if visibility is not None:
            check_seconds("visibility", visibility, 0, MAX_VISIBILITY)
        for name in queues:
            self._directory.url(name)
        asks = [Ask(name, visibility, attempt) for name in queues]
        if found := self._polls.left_over(asks, limit):
            return found
        for ask in asks:
            if wait and not self._backlog.is_likely(ask.queue):
                continue  # a long poll answers as soon, and not in vain
            if len(found) < limit and ask.queue not in self._polls.paused:
                found += self._look(ask, limit - len(found), bool(found))
        return found or (self._polls.wait(asks, limit, wait, stop) if wait else [])

    def _look(self, ask: Ask, limit: int, some: bool) -> list[Delivery]:
        """Short polls of one queue, as long as they bring all they are asked for, more and more of
        them at once."""
        found: list[Delivery] = []
        while len(found) < limit:
            at_once = 1 + len(found) // (2 * MAX_MESSAGES)
            left = range(limit - len(found), 0, -MAX_MESSAGES)[:at_once]
            wanted = [min(MAX_MESSAGES, most) for most in left]
            answers = self._together.run([partial(self._lend, ask, most, 0) for most in wanted])
            lent = [one for answer in answers if isinstance(answer, list) for one in answer]
            for error in answers:
                if isinstance(error, BrokerError):
                    if not (found or lent or some):
                        raise error
                    if not isinstance(error, OverLimit):  # what was lent must not be lost
                        log.warning("queue %s: %s", ask.queue, error)
            found += self._sort(ask.queue, lent)
            if len(lent) < sum(wanted):
                break
        return found

    def _fetch(self, ask: Ask, limit: int, seconds: int) -> list[Delivery]:
        """One ReceiveMessage, without what is not for a worker."""
        return self._sort(ask.queue, self._lend(ask, limit, seconds))

    # ---- one request ------------------------------------------------------------------------
    def _lend(self, ask: Ask, limit: int, seconds: int) -> list[tuple[Delivery, Carried | None]]:
        visibility = ask.visibility
        if visibility is None:
            visibility = self._directory.settings(ask.queue).visibility_timeout
        visibility = math.ceil(visibility)
        more: dict[str, Any] = {}
        if ask.attempt is not None:
            more["ReceiveRequestAttemptId"] = ask.attempt
        answer = self._directory.on_queue(
            ask.queue,
            "receive_message",
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=seconds,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All", FAILURE],
            **more,
        )
        now = self.clock.now()
        messages = answer.get("Messages") or ()
        lent = [self._read(ask.queue, one, now, now + visibility) for one in messages]
        waited = min((now - one.sent_at for one, _ in lent), default=0.0)
        self._backlog.note(ask.queue, limit, len(lent), waited)
        return lent

    def _read(
        self, queue: str, given: Mapping[str, Any], now: float, visible_at: float
    ) -> tuple[Delivery, Carried | None]:
        system = given.get("Attributes") or {}
        carried, attributes = unpack(given.get("MessageAttributes") or {})
        carried = carried or look_into(given["Body"])
        ours = carried or Carried(id=given["MessageId"])
        pointer = find_pointer(given["Body"], attributes)
        receipt = Receipt(given["MessageId"], now, given["ReceiptHandle"], pointer)
        text, uncounted = self._ledger.receive(queue, receipt, visible_at)
        first = read_seconds(system, "ApproximateFirstReceiveTimestamp", now)
        count = int(system.get("ApproximateReceiveCount") or 1) - uncounted
        count += ours.attempts - early_receives(ours.due, first)
        arn = system.get("DeadLetterQueueSourceArn")
        source = ours.source or (arn and self._directory.queue_of(arn)) or None
        if source == queue:  # moved back to where it came from
            source = None
        elif ours.failure is not None:
            attributes = {**attributes, FAILURE: ours.failure}
        delivery = Delivery(
            ours.id,
            ours.topic,
            given["Body"],
            attributes,
            queue,
            text,
            max(1, count),
            ours.sent or read_seconds(system, "SentTimestamp", now),
            max(first, ours.due),
            visible_at,
            False,
            int(system.get("SequenceNumber") or 0),
            source,
            system.get("MessageGroupId"),
            ours.key or system.get("MessageDeduplicationId"),
            system.get("AWSTraceHeader"),
            ours.sender or system.get("SenderId"),
        )
        return delivery, carried

    # ---- payloads elsewhere -----------------------------------------------------------------
    def load_payloads(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Fetch payloads that are in S3 into their deliveries; answers those that are complete.

        What cannot be had now comes again in a while. What is gone is dead-lettered, unless the
        event is finished: then there is nothing more to do with it.
        """
        found: list[Delivery] = []
        late: list[tuple[Delivery, float]] = []
        lost: list[tuple[Delivery, str]] = []
        for delivery in deliveries:
            receipt = read_receipt(delivery.receipt)
            if receipt is None or receipt.payload is None:
                found.append(delivery)
                continue
            try:
                self._load(delivery, receipt.payload)
            except LimitExceeded as error:
                key = (delivery.id, delivery.topic)
                if key in self.finished(delivery.queue, {key}):
                    found.append(delivery)
                else:
                    failure = _failure(str(error), delivery, delivery.receive_count, self.clock)
                    lost.append((delivery, failure))
            except BrokerError as error:
                log.warning("queue %s: event=%s: %s", delivery.queue, delivery.id, error)
                self._ledger.discount(delivery)
                late.append((delivery, PAYLOAD_AGAIN))
            else:
                found.append(delivery)
        self._put_off(late, lost)
        return found

    def _load(self, delivery: Delivery, pointer: Pointer) -> None:
        if self._payloads is None:
            raise LimitExceeded(
                f"its payload is in S3; this broker reads none (payloads=s3://{pointer.bucket})"
            )
        delivery.body = self._payloads.get(pointer)
        kept = {name: text for name, text in delivery.attributes.items() if name not in SIZES}
        delivery.attributes = kept

    def _put_off(
        self, hide: Sequence[tuple[Delivery, float]], bury: Sequence[tuple[Delivery, str]]
    ) -> None:
        """Hide messages again, and dead-letter others."""
        try:
            if hide:
                self.change_visibility(hide)
            if bury:
                self.dead_letter(bury)
        except BrokerError as error:
            count = len(hide) + len(bury)
            log.warning("%d messages return when their leases end: %s", count, error)

    # ---- what is not for a worker -----------------------------------------------------------
    def _sort(self, queue: str, lent: Sequence[tuple[Delivery, Carried | None]]) -> list[Delivery]:
        """Hide again what is not due, bury what is worn out; answers the rest."""
        found: list[Delivery] = []
        early: list[tuple[Delivery, float]] = []
        worn: list[tuple[Delivery, str]] = []
        now = self.clock.now()
        most = self._directory.settings(queue).max_receives
        for delivery, carried in lent:
            if carried is not None and carried.due > now:
                early.append((delivery, min(LONGEST_HIDE, carried.due - now)))
            elif most is not None and delivery.receive_count > most:
                worn.append((delivery, worn_out(delivery, self.clock)))
            else:
                found.append(delivery)
        self._put_off(early, worn)
        return self.load_payloads(found)


def worn_out(delivery: Delivery, clock: Clock) -> str:
    """The failure record of a message that was received too often."""
    attempts = delivery.receive_count - 1
    return _failure(
        f"received {attempts} times and never finished: "
        "its worker was killed or lost its lease each time",
        delivery,
        attempts,
        clock,
    )


def _failure(reason: str, delivery: Delivery, attempts: int, clock: Clock) -> str:
    return json.dumps(
        {
            "reason": reason,
            "queue": delivery.queue,
            "topic": delivery.topic,
            "attempts": attempts,
            "sent_at": delivery.sent_at,
            "first_received_at": delivery.first_received_at,
            "failed_at": clock.now(),
        }
    )
