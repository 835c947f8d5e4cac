"""What the server has beside its actions: pages for people, counts and health for monitors."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

from taskflow.broker.admin import Admin
from taskflow.dashboard.changing import ChangingPages
from taskflow.dashboard.forms import Refused, in_words
from taskflow.dashboard.looking import LookingPages
from taskflow.dashboard.run_page import RunPage
from taskflow.dashboard.showing import GUARDED, render
from taskflow.errors import BrokerError, BrokerUnavailable, QueueNotFound, TopicNotFound
from taskflow.server.access import AllowsPage, PageVerb
from taskflow.server.app import Page
from taskflow.server.backend import Backend
from taskflow.server.origin import is_foreign
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.telemetry.exposition import PROMETHEUS
from taskflow.telemetry.metrics import Look, take_look, write_prometheus, write_stats

JSON = "application/json"
PATIENCE = 0.02  # seconds that /health waits for the broker


def pages(
    backend: Backend, allows: AllowsPage, *, allow_reset: bool
) -> dict[tuple[str, str], Page]:
    """Every page by (method, path).

    `allows` is asked before each page but /health: None lets the request through, else it is the
    answer. The reset is a 404 without `allow_reset`.
    """
    looking = LookingPages(backend, lambda request: allows(request, "receive") is None)
    changing, monitor = ChangingPages(backend), Monitor(backend)

    def guarded(show: Callable[[HttpRequest], Awaitable[HttpResponse]], verb: PageVerb) -> Page:
        async def page(request: HttpRequest) -> HttpResponse:
            refusal = allows(request, verb)
            return refusal if refusal is not None else await _in_words(show, request)

        return page

    return {
        ("GET", "/"): guarded(looking.home, "read"),
        ("GET", "/queue"): guarded(looking.queue, "read"),
        ("GET", "/dead-letters"): guarded(looking.dead_letters, "read"),
        ("POST", "/redrive"): guarded(changing.redrive, "manage"),
        ("GET", "/send"): guarded(changing.send_form, "manage"),
        ("POST", "/send"): guarded(changing.send, "manage"),
        ("GET", "/stats"): guarded(monitor.stats, "read"),
        ("GET", "/metrics"): guarded(monitor.metrics, "read"),
        ("GET", "/health"): monitor.health,
        ("GET", "/runs/*"): RunPage(backend, allows).show,
        ("POST", "/_taskflow/reset"): guarded(monitor.reset, "manage")
        if allow_reset
        else _no_reset,
    }


async def _in_words(
    show: Callable[[HttpRequest], Awaitable[HttpResponse]], request: HttpRequest
) -> HttpResponse:
    """The page, or one that says why not."""
    try:
        return await show(request)
    except Refused as error:
        status, text = error.status, error.text
    except (QueueNotFound, TopicNotFound) as error:
        status, text = 404, in_words(error)
    except BrokerUnavailable as error:
        status, text = 503, in_words(error)
    except BrokerError as error:
        status, text = 400, in_words(error)
    return render("refused.html", status, code=status, text=text, notice="", refresh_to="")


def _no_reset(_: HttpRequest) -> HttpResponse:
    return _plain(404, JSON, b'{"error":"start the server with --allow-reset"}')


class Monitor:
    """What programs ask for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._asking: asyncio.Task[str | None] | None = None

    async def stats(self, _: HttpRequest) -> HttpResponse:
        return _plain(200, JSON, write_stats(await self._look()))

    async def metrics(self, _: HttpRequest) -> HttpResponse:
        return _plain(200, PROMETHEUS, write_prometheus(await self._look()))

    async def health(self, _: HttpRequest) -> HttpResponse:
        """Whether the broker can be used. One that another process keeps waiting is busy, not ill:
        nobody waits here until its patience ends, and it says itself that it cannot be used."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        answered = (await asyncio.wait({self._asking}, timeout=PATIENCE))[0]
        if not answered:
            return _plain(200, JSON, b'{"status":"ok","broker":"busy"}')
        reason = self._asking.result()
        if reason is not None:
            return _plain(
                503, JSON, json.dumps({"status": "unavailable", "reason": reason}).encode()
            )
        return _plain(200, JSON, b'{"status":"ok"}')

    async def _ask(self) -> str | None:
        try:
            await self._backend.run(self._broker.queues)
        except BrokerError as error:
            return str(error)
        return None

    async def reset(self, request: HttpRequest) -> HttpResponse:
        if is_foreign(request):
            return _plain(403, JSON, b'{"error":"another site sent this"}')
        return _plain(200, JSON, json.dumps(await self._backend.run(empty, self._broker)).encode())

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


def _plain(status: int, content_type: str, body: bytes) -> HttpResponse:
    return HttpResponse(status, (("content-type", content_type), *GUARDED), body)
