"""How the order service is: `/health`, `/health/live` and `/stats`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import falcon
import msgspec

from services.order.model import Status
from services.order.repository import OrderRepository
from services.order.shapes import Check, Health, Live
from taskflow.broker import QueueCounts
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.limits import DLQ_SUFFIX
from taskflow.outbox import Outbox

logger = logging.getLogger("services.order.status")


class Queues(Protocol):
    """What statistics need of a broker."""

    def queues(self) -> list[str]:
        """The names of all queues."""
        ...

    def counts(self, queue: str) -> QueueCounts:
        """How much a queue holds."""
        ...


class HealthResource:
    """`/health`: 200 when every check passes, else 503; what each check says either way.

    A check raises when what it looks at cannot be used.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._checks = checks

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Run every check."""
        found = {name: self._run(name) for name in self._checks}
        healthy = all(result == "ok" for result in found.values())
        resp.status = 200 if healthy else 503
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(Health("ok" if healthy else "unavailable", found))

    def _run(self, name: str) -> Check:
        try:
            self._checks[name]()
        except Exception as error:  # a health check reports whatever is wrong
            logger.warning("%s is not healthy: %s", name, error)
            return "unavailable"
        return "ok"


def check_outbox(outbox: Outbox) -> None:
    """A health check: raises while an event stands aside that the broker refused for good."""
    refused = outbox.counts()[2]
    if refused:
        raise EventsRefused(f"{refused} events were refused by the broker: see outbox in /stats")


class EventsRefused(Exception):
    """Events were set aside; nobody heard of them."""


class LiveResource:
    """`/health/live`: 200 as long as the process answers; looks at nothing else, so that a
    database in trouble does not get every process restarted."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Say that the process lives."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(Live("ok"))


class StatsResource:
    """`/stats`: orders, revenue, queues, events, outbox.

    When the broker cannot be used `queues` and `events` are null.
    """

    def __init__(
        self, repository: OrderRepository, outbox: Outbox, broker: Queues, clock: Clock
    ) -> None:
        self._repository = repository
        self._outbox = outbox
        self._broker = broker
        self._clock = clock

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Count everything."""
        totals = self._repository.totals()
        pending, since, refused = self._outbox.counts()
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(
            {
                "orders": {status.value: count for status, (count, _) in totals.items()},
                "revenue_cents": totals[Status.PAID][1],
                **self._count_queues(),
                "outbox": {
                    "pending": pending,
                    "oldest_age_seconds": 0 if since is None else self._clock.now() - since,
                    "refused": refused,
                    "refused_rows": [asdict(one) for one in self._outbox.refused(10)],
                },
            }
        )

    def _count_queues(self) -> dict[str, Any]:
        try:
            counts = {name: self._broker.counts(name) for name in self._broker.queues()}
        except BrokerError as error:
            logger.warning("no queue statistics: %s", error)
            return {"queues": None, "events": None}
        work = [each for name, each in counts.items() if not name.endswith(DLQ_SUFFIX)]
        return {
            "queues": {name: asdict(each) for name, each in counts.items()},
            "events": {
                "handled": sum(each.handled for each in work),
                "failed": sum(each.dead_lettered for each in work),
            },
        }
