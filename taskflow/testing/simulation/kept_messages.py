"""The queues of a simulation that are kept beside the database, and what goes through them."""

from collections.abc import Callable, Sequence
from typing import Any

from taskflow.broker.change import Publish, Send
from taskflow.broker.settings import Finish, Holding, Sent
from taskflow.brokers.stored.fanout import is_plain
from taskflow.brokers.stored.receipts import new_lease
from taskflow.limits import check_receive, is_fifo
from taskflow.message import Delivery, Message
from taskflow.stores.row import AHEAD
from taskflow.stores.sqlite.put_away import PutAway
from taskflow.testing.simulation.kept_queue import Kept, KeptQueue

Look = Callable[[Callable[[Any], Any]], Any]
"""Looks at the rows of the store."""


class KeptMessages:
    """Keeps standard queues that were empty in the store when they were asked for first. `draw`
    gives the random bits of a receipt."""

    def __init__(self, look: Look, draw: Callable[[], int]) -> None:
        self._look = look
        self._draw = draw
        self._queues: dict[str, KeptQueue | None] = {}
        self._topics: dict[str, list[KeptQueue] | None] = {}
        self._finished: dict[tuple[str, str, str], float] = {}
        self._all_finished: bool | None = None
        self._last_number: int | None = None

    def queue(self, name: str) -> KeptQueue | None:
        """A queue, if it is kept here."""
        if name not in self._queues:
            self._queues[name] = self._look(lambda rows: _empty(rows, name))
        return self._queues[name]

    def targets(self, topic: str) -> list[KeptQueue] | None:
        """The queues that get what is published to a topic just as it is, if that is all it goes
        to."""
        if topic not in self._topics:
            self._topics[topic] = self._find_targets(topic)
        return self._topics[topic]

    def _find_targets(self, topic: str) -> list[KeptQueue] | None:
        if is_fifo(topic):
            return None
        targets = self._look(lambda rows: rows.subscribed(topic))
        if not targets or not all(is_plain(one, topic) for one in targets):
            return None
        names = dict.fromkeys(one.queue.name for one in targets)
        found = [queue for name in names if (queue := self.queue(name)) is not None]
        return found if len(found) == len(targets) else None

    def held(self, delivery: Delivery) -> Kept | None:
        """The message that still carries this receipt, if it is kept here."""
        queue = self._queues.get(delivery.queue)
        found = None if queue is None else queue.rows.get(delivery.sequence)
        if found is None or found.receipt_text != delivery.receipt:
            return None
        return found

    def destinations(self, send: Send | Publish) -> tuple[str, Sequence[KeptQueue]] | None:
        """The topic (empty without one) and the queues of what is to be sent; None where any does
        not take it here."""
        if isinstance(send, Publish):
            topic, queues = send.topic, self.targets(send.topic)
            if queues is None:
                return None
        else:
            queue = self.queue(send.queue)
            if queue is None:
                return None
            topic, queues = "", [queue]
        for one in queues:
            if not one.takes(topic, send.messages):
                return None
        return topic, queues

    def add(
        self, topic: str, queues: Sequence[KeptQueue], messages: Sequence[Message], now: float
    ) -> list[Sent]:
        """Hold these, each under one number in all of them."""
        sent = []
        for message in messages:
            last = self._last_number
            if last is None:
                last = self._look(lambda rows: rows.kept.last_number())
            self._last_number = number = max(int(now * 1e6), last + 1)
            for queue in queues:
                queue.add(number, topic, message, now)
            sent.append(Sent(message.id, 0 if topic else number))
        return sent

    def lend(
        self, queue: KeptQueue, holding: Holding, visibility: float | None, now: float
    ) -> list[Delivery] | None:
        """The message whose turn it is, if any is due; None when the store is to judge."""
        if visibility is not None:
            check_receive([queue.name], 1, 0.0, visibility)
        one = queue.first(now)
        if one is None:
            return []
        if not queue.is_plain(one, now):
            return None
        receipt = new_lease(now, self._draw())
        if holding.messages:
            receipt |= AHEAD
        return [queue.lend(one, receipt, now, visibility)]

    def finish(self, one: Kept, entry: Finish, now: float) -> None:
        """It is handled."""
        one.queue.drop(one)
        if entry.remember:
            name = one.queue.name, one.message.id, one.topic
            self._finished[name] = now + entry.remember

    def is_finished(self, delivery: Delivery, now: float) -> bool | None:
        """Whether its event is remembered as finished; None when the store may know."""
        until = self._finished.get((delivery.queue, delivery.id, delivery.topic))
        if until is not None and until > now:
            return True
        if self._all_finished is None:
            self._all_finished = not self._look(lambda rows: rows.kept.has_finished())
        return False if self._all_finished else None

    def hold_old(self, now: float) -> bool:
        """Whether any is past its retention."""
        return any(
            one.sent_at <= now - queue.queue.settings.retention
            for queue in self._queues.values()
            if queue is not None
            for one in queue.rows.values()
        )

    def expire(self, now: float) -> None:
        """Forget events whose window has ended."""
        for name in [one for one, until in self._finished.items() if until <= now]:
            del self._finished[name]

    def put_away(self) -> PutAway:
        """All of it, as the store has it; here it is not any more."""
        queues = {name: one for name, one in self._queues.items() if one is not None}
        holders: dict[int, list[int]] = {}
        bodies: dict[int, Message] = {}
        for queue in queues.values():
            for one in queue.rows.values():
                holders.setdefault(one.seq, []).append(queue.queue.id)
                bodies[one.seq] = one.message
        kept = PutAway(
            messages=[row for queue in queues.values() for row in queue.as_stored()],
            bodies=sorted(bodies.items(), key=lambda one: one[0]),
            shared=[(seq, some) for seq, some in holders.items() if len(some) > 1],
            finished=[
                (queues[queue].queue.id, id, topic, until)
                for (queue, id, topic), until in self._finished.items()
            ],
            handled=[(one.queue.id, one.handled) for one in queues.values() if one.handled],
        )
        self._queues.clear()
        self._topics.clear()
        self._finished.clear()
        self._all_finished = self._last_number = None
        return kept


def _empty(rows: Any, name: str) -> KeptQueue | None:
    queue = rows.queue(name)
    if queue is None or queue.fifo or queue.paused or rows.select(queue.id, (), 1):
        return None
    return KeptQueue(queue)
