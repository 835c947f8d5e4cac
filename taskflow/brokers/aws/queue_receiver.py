"""QueueReceiver: receives from SQS, and sorts out what is not for a worker.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from taskflow.broker.settings import Holding
from taskflow.brokers.aws.attribute_codec import (
    LONGEST_HIDE,
    Carried,
    early_receives,
    look_into,
    put_carried,
    read_seconds,
    unpack,
)
from taskflow.brokers.aws.claims import Claims
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.pauses import Pauses
from taskflow.brokers.aws.payload_fetch import PayloadFetch
from taskflow.brokers.aws.pointers import find_pointer
from taskflow.brokers.aws.poll_policy import PollPolicy
from taskflow.brokers.aws.polls import MAX_MESSAGES, Ask, Polls
from taskflow.brokers.aws.receipts import Receipt, Receipts
from taskflow.brokers.aws.settler import Settler
from taskflow.clock import Clock
from taskflow.errors import BrokerError, OverLimit
from taskflow.limits import check_receive
from taskflow.message import FAILURE, Delivery
from taskflow.wire.failure_record import never_finished, write_failure

log = logging.getLogger("taskflow.aws")


class QueueReceiver:
    """Thread-safe. The contract of `receive` stands in `taskflow.broker.Broker`."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        receipts: Receipts,
        settler: Settler,
        claims: Claims,
        fetch: PayloadFetch,
        parallel: Parallel,
        pauses: Pauses,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._receipts = receipts
        self._settler = settler
        self._claims = claims
        self._fetch = fetch
        self._parallel = parallel
        self._policy = PollPolicy()
        self._pauses = pauses
        self.polls = Polls(clock, pauses, self._poll, settler.give_back)

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
        holding: Holding | None = None,
    ) -> list[Delivery]:
        check_receive(queues, limit, wait, visibility)
        for name in queues:
            self._directory.url(name)
        self._pauses.refresh()
        asks = [Ask(name, visibility, attempt) for name in queues]
        if found := self.polls.left_over(asks, limit):
            return found
        looks = len(asks)
        if wait:  # a long poll answers as soon, and not in vain; but earlier queues come first
            likely = [self._policy.is_likely(ask.queue) for ask in asks]
            looks = max((n for n, one in enumerate(likely, 1) if one), default=0)
        for ask in asks[:looks]:
            if len(found) < limit and ask.queue not in self._pauses:
                found += self._look(ask, limit - len(found), bool(found))
        return found or (self.polls.wait(asks, limit, wait, stop) if wait else [])

    def _look(self, ask: Ask, limit: int, some: bool) -> list[Delivery]:
        """Short polls of one queue, as long as they bring all they are asked for, more and more of
        them at once."""
        found: list[Delivery] = []
        while len(found) < limit:
            at_once = 1 + len(found) // (2 * MAX_MESSAGES)
            left = range(limit - len(found), 0, -MAX_MESSAGES)[:at_once]
            wanted = [min(MAX_MESSAGES, most) for most in left]
            answers = self._parallel.run([partial(self.lend, ask, most, 0) for most in wanted])
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

    def _poll(self, ask: Ask, limit: int, seconds: int) -> list[Delivery]:
        """One ReceiveMessage, without what is not for a worker."""
        return self._sort(ask.queue, self.lend(ask, limit, seconds))

    # ---- one request ------------------------------------------------------------------------
    def lend(self, ask: Ask, limit: int, seconds: int) -> list[tuple[Delivery, Carried | None]]:
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
        now = self._clock.now()
        messages = answer.get("Messages") or ()
        lent = []
        for one in messages:
            try:
                lent.append(self._read(ask.queue, one, now, now + visibility))
            except Exception:  # the others must not be lost with it
                log.exception("queue %s: message %s cannot be read", ask.queue, one["MessageId"])
        waited = min((now - one.sent_at for one, _ in lent), default=0.0)
        self._policy.note(ask.queue, limit, len(messages), waited)
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
        text, uncounted = self._receipts.receive(queue, receipt, visible_at)
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
        put_carried(delivery, ours)
        return delivery, carried

    # ---- what is not for a worker -----------------------------------------------------------
    def _sort(self, queue: str, lent: Sequence[tuple[Delivery, Carried | None]]) -> list[Delivery]:
        """Hide again what is not due, bury what is worn out; answers the rest, with payloads."""
        found: list[Delivery] = []
        early: list[tuple[Delivery, float]] = []
        worn: list[Delivery] = []
        now = self._clock.now()
        most = self._directory.settings(queue).max_receives
        for delivery, carried in lent:
            if carried is not None and carried.due > now:
                early.append((delivery, min(LONGEST_HIDE, carried.due - now)))
            elif most is not None and delivery.receive_count > most:
                worn.append(delivery)
            else:
                found.append(delivery)
        self._settler.put_off(early=early, bury=self._bury_worn(worn, found))
        return self._fetch.load(found)

    def _bury_worn(
        self, worn: Sequence[Delivery], found: list[Delivery]
    ) -> list[tuple[Delivery, str]]:
        """What is to be buried of messages that were received too often, and why. Not a copy of
        an event that is being run, which is received again and again meanwhile, nor of a finished
        one: that goes to `found`."""
        try:
            claims = self._claims.claim(worn) if worn else []
        except BrokerError as error:
            log.warning("%d messages return when their leases end: %s", len(worn), error)
            return []
        found += [one for one, claim in zip(worn, claims, strict=True) if claim == "finished"]
        now = self._clock.now()
        attempts = [(one, one.receive_count - 1) for one in worn]  # the last one found it worn out
        return [
            (one, write_failure(never_finished(count), one, count, now))
            for (one, count), claim in zip(attempts, claims, strict=True)
            if claim == "free"
        ]
