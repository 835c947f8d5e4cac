"""What programs ask a server for: counts, metrics, health; and the reset of a test server."""

import asyncio
import json
from contextlib import suppress

from taskflow.broker.admin import Admin
from taskflow.dashboard.answer import GUARDED
from taskflow.errors import BrokerError, QueueNotFound
from taskflow.server.backend import Backend
from taskflow.server.origin import is_foreign
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.telemetry.exposition import PROMETHEUS
from taskflow.telemetry.metrics import Look, take_look, write_prometheus, write_stats

JSON = "application/json"
PATIENCE = 0.02  # seconds that /health waits for the broker


class Monitor:
    """What programs ask for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._asking: asyncio.Task[None] | None = None
        self._reason: str | None = None  # that the broker was found to be ill, when asked last

    async def stats(self, _: HttpRequest) -> HttpResponse:
        return plain(200, JSON, write_stats(await self._look()))

    async def metrics(self, _: HttpRequest) -> HttpResponse:
        return plain(200, PROMETHEUS, write_prometheus(await self._look()))

    async def health(self, _: HttpRequest) -> HttpResponse:
        """Whether the broker can be used. One that another process keeps waiting is busy, not ill:
        nobody waits here until its patience ends. One that was found ill stays so until it has
        answered: it may take longer to fail than anybody waits here."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        answered = (await asyncio.wait({self._asking}, timeout=PATIENCE))[0]
        for asked in answered:
            asked.result()
        if self._reason is not None:
            ill = {"status": "unavailable", "reason": self._reason}
            return plain(503, JSON, json.dumps(ill).encode())
        if not answered:
            return plain(200, JSON, b'{"status":"ok","broker":"busy"}')
        return plain(200, JSON, b'{"status":"ok"}')

    async def _ask(self) -> None:
        try:
            await self._backend.run(self._broker.queues)
        except BrokerError as error:
            self._reason = str(error)
        else:
            self._reason = None

    def no_reset(self, _: HttpRequest) -> HttpResponse:
        """Nothing is reset unless somebody said so at the start."""
        return plain(404, JSON, b'{"error":"start the server with --allow-reset"}')

    async def reset(self, request: HttpRequest) -> HttpResponse:
        if is_foreign(request):
            return plain(403, JSON, b'{"error":"another site sent this"}')
        return plain(200, JSON, json.dumps(await self._backend.run(empty, self._broker)).encode())

    async def _look(self) -> Look:
        return await self._backend.run(take_look, self._broker, self._backend.waiting.count())


def empty(broker: Admin) -> dict[str, int]:
    """Delete all there is; answers how much that was."""
    for task in broker.moves():
        if task.status == "RUNNING":
            broker.cancel_move(task.handle)
    subscriptions, topics, queues = broker.subscriptions(), broker.topics(), broker.queues()
    for subscription in subscriptions:  # their hidden queues go with them
        broker.unsubscribe(subscription.id)
    for topic in topics:
        broker.delete_topic(topic)
    for queue in queues:
        with suppress(QueueNotFound):
            broker.purged(queue)  # what it has seen may be sent to the next of its name
            broker.delete_queue(queue)
    return {
        "queues": len(queues),
        "topics": len(topics),
        "subscriptions": len(subscriptions),
    }


def plain(status: int, content_type: str, body: bytes) -> HttpResponse:
    return HttpResponse(status, (("content-type", content_type), *GUARDED), body)
