"""The pages a person looks at: queues and topics, one queue, dead letters."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from taskflow.broker import QueueCounts
from taskflow.broker.admin import Admin
from taskflow.broker.settings import QueueSettings, TopicSubscription
from taskflow.dashboard.forms import Refused, find_wanted, read_query
from taskflow.dashboard.showing import show_message, show_page
from taskflow.errors import QueueNotFound
from taskflow.limits import DLQ_SUFFIX, FIFO_SUFFIX
from taskflow.message import Delivery
from taskflow.server.backend import Backend
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.telemetry.metrics import Look, Rates, take_look

LETTERS_SHOWN = 100
MESSAGES_SHOWN = 10
HIDDEN = "(hidden: this key may not receive)"


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue in the table. `rate` is None when it is not known; `letters` is how many its
    dead-letter queue holds; `is_dlq` whether it is itself one."""

    name: str
    counts: QueueCounts
    rate: float | None
    dead_letter_queue: str | None
    letters: int
    is_dlq: bool


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic in the table; `waiting` and `rate` are those of the queues that it feeds."""

    name: str
    arn: str
    subscriptions: list[TopicSubscription]
    waiting: int
    rate: float | None


class LookingPages:
    """Each method is a page. All raise Refused or BrokerError."""

    def __init__(
        self, backend: Backend, sees_bodies: Callable[[HttpRequest], bool] = lambda _: True
    ) -> None:
        self._backend = backend
        self._sees_bodies = sees_bodies
        self._broker = backend.broker
        self._rates = Rates()

    async def home(self, request: HttpRequest) -> HttpResponse:
        parked = self._backend.waiting.count()
        look = await self._backend.run(take_look, self._broker, parked)
        settings = await self._backend.run(_all_settings, self._broker)
        span, rates = self._rates.add(look)
        return show_page(
            "home.html",
            request,
            look=look,
            span=span,
            queues=_queue_rows(look, rates, settings),
            topics=self._topic_rows(look, rates),
        )

    async def queue(self, request: HttpRequest) -> HttpResponse:
        name = find_wanted(read_query(request), "name")
        run, broker = self._backend.run, self._broker
        counts = await run(broker.counts, name)
        found = self._shown(request, await run(broker.peek, name, MESSAGES_SHOWN))
        settings = await run(_all_settings, broker)
        subscriptions = await run(broker.subscriptions)
        return show_page(
            "queue.html",
            request,
            name=name,
            arn=self._backend.arn_of_queue(name),
            counts=counts,
            settings=settings[name] if name in settings else await run(broker.settings, name),
            is_dlq=name in _dead_letter_queues(settings),
            messages=[show_message(one) for one in found],
            subscriptions=[one for one in subscriptions if one.queue == name],
            now=broker.clock.now(),
        )

    async def dead_letters(self, request: HttpRequest) -> HttpResponse:
        run, broker = self._backend.run, self._broker
        name = await run(_dead_letter_queue, broker, find_wanted(read_query(request), "queue"))
        counts = await run(broker.counts, name)
        found = self._shown(request, await run(broker.peek, name, LETTERS_SHOWN))
        return show_page(
            "dead_letters.html",
            request,
            refreshes=False,  # it would take the ticks away
            name=name,
            letters=[show_message(one) for one in found],
            total=max(count_all(counts), len(found)),
        )

    def _shown(self, request: HttpRequest, found: list[Delivery]) -> list[Delivery]:
        """The messages as this key may see them: bodies, attributes and failures quote payloads."""
        if self._sees_bodies(request):
            return found
        return [replace(one, body=HIDDEN, attributes={}) for one in found]

    def _topic_rows(self, look: Look, rates: Mapping[str, float]) -> list[TopicRow]:
        rows = []
        counts = {**look.queues, **look.deliveries}
        for name, subscriptions in look.topics.items():
            fed = {one.queue for one in subscriptions}
            known = [rates[queue] for queue in fed if queue in rates]
            waiting = sum(counts[queue].visible for queue in fed if queue in counts)
            arn = self._backend.arn_of_topic(name)
            rows.append(
                TopicRow(name, arn, list(subscriptions), waiting, sum(known) if known else None)
            )
        return rows


# ---- the broker ---------------------------------------------------------------------------------
def _all_settings(broker: Admin) -> dict[str, QueueSettings]:
    found = {}
    for name in broker.queues():
        with suppress(QueueNotFound):
            found[name] = broker.settings(name)
    return found


def _dead_letter_queues(settings: Mapping[str, QueueSettings]) -> set[str]:
    """Every queue that takes dead letters."""
    targets = {one.dead_letter_queue for one in settings.values()}
    return {
        name
        for name in settings
        if name in targets or name.removesuffix(FIFO_SUFFIX).endswith(DLQ_SUFFIX)
    }


def _dead_letter_queue(broker: Admin, queue: str) -> str:
    """The DLQ, given by its own name or by a queue's that has it."""
    settings = _all_settings(broker)
    if queue in _dead_letter_queues(settings):
        return queue
    target = broker.settings(queue).dead_letter_queue
    if target is None:
        raise Refused(404, f"Queue {queue!r} has no dead-letter queue.")
    return target


def _queue_rows(
    look: Look, rates: Mapping[str, float], settings: Mapping[str, QueueSettings]
) -> list[QueueRow]:
    letters = _dead_letter_queues(settings)
    rows = []
    for name, counts in look.queues.items():
        target = settings[name].dead_letter_queue if name in settings else None
        held = look.queues.get(target) if target is not None else None
        count = 0 if held is None else count_all(held)
        rows.append(QueueRow(name, counts, rates.get(name), target, count, name in letters))
    return rows


def count_all(counts: QueueCounts) -> int:
    """How many messages a queue holds, hidden or not."""
    return counts.visible + counts.in_flight + counts.delayed
