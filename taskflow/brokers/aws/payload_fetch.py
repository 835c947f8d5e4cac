"""PayloadFetch: payloads in S3 on their way to a worker; what becomes of messages without them."""

import logging
from collections.abc import Sequence
from functools import partial

from taskflow.brokers.aws.claims import Claims
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.pointers import SIZES, Pointer
from taskflow.brokers.aws.receipts import read_receipt
from taskflow.brokers.aws.settler import Settler
from taskflow.clock import Clock
from taskflow.errors import BrokerError, LimitExceeded
from taskflow.limits import is_fifo
from taskflow.message import Delivery
from taskflow.wire.failure_record import write_failure

log = logging.getLogger("taskflow.aws")

PAYLOAD_AGAIN = 5.0  # seconds until a payload that could not be fetched is asked for again


class PayloadFetch:
    """Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        payloads: Payloads | None,
        settler: Settler,
        claims: Claims,
        parallel: Parallel,
    ) -> None:
        self._clock = clock
        self._payloads = payloads
        self._settler = settler
        self._claims = claims
        self._parallel = parallel

    def load(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Fetch payloads that are in S3 into their deliveries; answers those that are complete.

        What cannot be had now comes again in a while, and on a FIFO queue what follows it in its
        group. What is gone is dead-lettered, unless the event is finished: then there is nothing
        more to do with it.
        """
        receipts = [read_receipt(one.receipt) for one in deliveries]
        pointers = [receipt.payload if receipt is not None else None for receipt in receipts]
        if not any(pointers):
            return list(deliveries)
        began = self._clock.now()
        missing = self._fetch_all(deliveries, pointers)
        found: list[Delivery] = []
        late: list[tuple[Delivery, float]] = []
        behind: list[Delivery] = []
        lost: list[tuple[Delivery, str]] = []
        closed: set[str] = set()
        for delivery in deliveries:
            error = missing.get(delivery.receipt)
            if delivery.group in closed:
                behind.append(delivery)
            elif error is None or (gone := self._is_finished(delivery, error)):
                found.append(delivery)
            elif gone is None:
                log.warning("queue %s: event=%s: %s", delivery.queue, delivery.id, error)
                late.append((delivery, PAYLOAD_AGAIN))
                if is_fifo(delivery.queue) and delivery.group is not None:
                    closed.add(delivery.group)
            else:
                now = self._clock.now()
                why = write_failure(str(error), delivery, delivery.receive_count, now)
                lost.append((delivery, why))
        self._settler.put_off(late=late, bury=lost, give_back=behind)
        return self._still_held(found, began)

    def _fetch_all(
        self, deliveries: Sequence[Delivery], pointers: Sequence[Pointer | None]
    ) -> dict[str, BrokerError]:
        """Fetch side by side; answers why not, by receipt."""
        wanted = [
            (delivery, pointer)
            for delivery, pointer in zip(deliveries, pointers, strict=True)
            if pointer is not None
        ]
        answers = self._parallel.run([partial(self._load_one, *one) for one in wanted])
        return {
            delivery.receipt: answer
            for (delivery, _), answer in zip(wanted, answers, strict=True)
            if isinstance(answer, BrokerError)
        }

    def _load_one(self, delivery: Delivery, pointer: Pointer) -> None:
        if self._payloads is None:
            raise LimitExceeded(
                f"its payload is in S3; this broker reads none (payloads=s3://{pointer.bucket})"
            )
        delivery.body = self._payloads.get(pointer)
        kept = {name: text for name, text in delivery.attributes.items() if name not in SIZES}
        delivery.attributes = kept

    def _is_finished(self, delivery: Delivery, error: BrokerError) -> bool | None:
        """Whether an event without its payload is finished; None when its payload may come yet, or
        nobody knows."""
        if not isinstance(error, LimitExceeded):
            return None
        key = (delivery.id, delivery.topic)
        try:
            return key in self._claims.finished(delivery.queue, {key})
        except BrokerError:
            return None

    def _still_held(self, found: list[Delivery], began: float) -> list[Delivery]:
        """Those whose leases outlived the fetching; extended when that took long."""
        now = self._clock.now()
        held = [one for one in found if one.visible_at > now]
        short = [one for one in held if one.visible_at - now < now - began]
        try:
            self._settler.change_visibility([(one, one.visible_at - began) for one in short])
        except BrokerError as error:
            log.warning("%d leases were not extended: %s", len(short), error)
        return held
