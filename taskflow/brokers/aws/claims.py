"""Claims: which events are being run and which were finished, so that none is run twice."""

import logging
import math
from collections.abc import Collection, Sequence
from functools import partial

from taskflow.broker.settings import Claim, Finish
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.lent_messages import LentMessages
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.receipts import Receipts
from taskflow.clock import Clock
from taskflow.coordination.event_records import Key, Records, Run
from taskflow.errors import BrokerError
from taskflow.limits import is_fifo
from taskflow.message import Delivery
from taskflow.uninterrupted import uninterrupted

log = logging.getLogger("taskflow.aws")

CLAIM_MARGIN = 1  # seconds; clocks differ, and a lease lasts until the next whole second


class Claims:
    """Thread-safe. The contract of `claim` and `finished` stands in `taskflow.broker.Broker`."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        records: Records,
        receipts: Receipts,
        lent: LentMessages,
        parallel: Parallel,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._records = records
        self._receipts = receipts
        self._lent = lent
        self._parallel = parallel

    @uninterrupted
    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        calls = [partial(self._claim, one) for one in deliveries]
        if not self._records.remote:
            return [call() for call in calls]
        claims: list[Claim] = []
        for answer in self._parallel.run(calls):
            if isinstance(answer, BrokerError):
                self.release(deliveries)
                raise answer
            claims.append(answer)
        return claims

    def _claim(self, delivery: Delivery) -> Claim:
        now = self._clock.now()
        # A FIFO queue lends a message to one receipt: whoever ran it before has lost its lease.
        found = self._records.claim(
            _run_of(delivery), _claimed_until(delivery, now), now, is_fifo(delivery.queue)
        )
        if found is None:
            return "free"
        if found.finished:
            return "finished"
        self._lent.hide([(delivery, max(1.0, found.until - now))])
        self._receipts.discount(delivery)
        return "running"

    @uninterrupted
    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        self._directory.url(queue)
        asked = [Key(queue, id, topic) for id, topic in keys]
        known = self._records.finished(asked, self._clock.now())
        return {(key.id, key.topic) for key in known}

    @uninterrupted
    def finish(self, entries: Sequence[Finish]) -> None:
        """These are finished, and known to be as long as each says. Ends claims on them. Raises
        BrokerUnavailable."""
        now = self._clock.now()
        kept = [(_run_of(one.delivery).key, now + one.remember) for one in entries]
        self._records.remember(kept, now)

    @uninterrupted
    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Claims on these last as long as their leases, which were extended."""
        now = self._clock.now()
        try:
            self._records.extend((_run_of(one), _claimed_until(one, now)) for one in deliveries)
        except BrokerError as error:
            log.warning("%d claims were not extended: %s", len(deliveries), error)

    @uninterrupted
    def release(self, deliveries: Sequence[Delivery]) -> None:
        """These are not being run any more."""
        try:
            self._records.release(map(_run_of, deliveries))
        except BrokerError as error:
            log.warning("%d claims end with their leases: %s", len(deliveries), error)


def _run_of(delivery: Delivery) -> Run:
    """Who it is for the records."""
    return Run(Key(delivery.queue, delivery.id, delivery.topic), delivery.receipt)


def _claimed_until(delivery: Delivery, now: float) -> float:
    """A claim ends before its lease: nobody who receives the message after it is in the way."""
    margin = CLAIM_MARGIN if delivery.visible_at - now > 3 * CLAIM_MARGIN else 0
    return math.floor(delivery.visible_at) - margin
