"""The broker verbs `claim` and `finished` over AWS: which events are being run, and which were."""

from collections.abc import Collection, Sequence
from functools import partial

from taskflow.broker.settings import Claim
from taskflow.brokers.aws.settling import Settling, claimed_until, run_of
from taskflow.coordination.memory import Key
from taskflow.errors import BrokerError
from taskflow.limits import is_fifo
from taskflow.message import Delivery


class Claiming(Settling):
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract."""

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        calls = [partial(self._claim, one) for one in deliveries]
        if not self._records.remote:
            return [call() for call in calls]
        claims: list[Claim] = []
        for answer in self._parallel.run(calls):
            if isinstance(answer, BrokerError):
                self._disclaim(deliveries)
                raise answer
            claims.append(answer)
        return claims

    def _claim(self, delivery: Delivery) -> Claim:
        now = self.clock.now()
        # A FIFO queue lends a message to one receipt: whoever ran it before has lost its lease.
        found = self._records.claim(
            run_of(delivery), claimed_until(delivery, now), now, is_fifo(delivery.queue)
        )
        if found is None:
            return "free"
        if found.finished:
            return "finished"
        self._hide([(delivery, max(1.0, found.until - now))])
        self._receipts.discount(delivery)
        return "running"

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        self._directory.url(queue)
        asked = [Key(queue, id, topic) for id, topic in keys]
        known = self._records.finished(asked, self.clock.now())
        return {(key.id, key.topic) for key in known}
