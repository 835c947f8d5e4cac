"""LentMessages: what is done to messages by their receipts, ten at a time: deleted, hidden.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.parallel import Parallel
from taskflow.brokers.aws.receipts import Receipts, read_receipt
from taskflow.brokers.aws.request_batches import cut, failed, send_batch
from taskflow.brokers.aws.tally import Tally
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.limits import MAX_VISIBILITY
from taskflow.message import Delivery

log = logging.getLogger("taskflow.aws")

_MARGIN = 1  # seconds that AWS's clock may be ahead of what is left of twelve hours


class LentMessages:
    """Thread-safe. Asks nobody whether a receipt is the latest: that is the caller's."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        receipts: Receipts,
        parallel: Parallel,
        tally: Tally,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._receipts = receipts
        self._parallel = parallel
        self._tally = tally

    def drop(self, queue: str, deliveries: Sequence[Delivery]) -> list[bool]:
        """Delete messages by their receipts, ten at a time."""
        answers = self._in_batches(
            queue,
            "delete_message_batch",
            [{"ReceiptHandle": _handle(delivery)} for delivery in deliveries],
        )
        for delivery, ok in zip(deliveries, answers, strict=True):
            if ok:
                self._receipts.settle(delivery)
        self._tally.add_handled(queue, sum(answers))
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

    def hide(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Hide messages of one queue, for what is left of twelve hours at most."""
        if not entries:
            return []
        now = self._clock.now()
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


def _handle(delivery: Delivery) -> str:
    receipt = read_receipt(delivery.receipt)
    return receipt.handle if receipt is not None else delivery.receipt
