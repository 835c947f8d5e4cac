"""ListBroker: a broker over plain Python lists, written from the docstrings of the protocols."""

import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import TypeVar

from taskflow.broker.change import Bury, GiveBack, Hide, Keep, Settlement
from taskflow.broker.features import Features
from taskflow.broker.settings import (
    Economy,
    Finish,
    Holding,
    Lease,
    Published,
    QueueCounts,
    Sent,
    Surveyed,
    TopicSubscription,
)
from taskflow.broker.traffic import Traffic
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded, OverLimit
from taskflow.limits import MAX_MESSAGE_BYTES, check_no_connection, check_receive, check_seconds
from taskflow.message import FAILURE, Delivery, Message
from tests.contract.list_broker.changes import Changes
from tests.contract.list_broker.declarations import Declarations
from tests.contract.list_broker.held_message import HeldMessage
from tests.contract.list_broker.list_queue import ListQueue
from tests.contract.list_broker.list_topic import wants
from tests.contract.list_broker.tables import Tables

T = TypeVar("T")
_RECEIPT = re.compile(r"([0-9.e+]+)/[0-9a-f]{32}")


class ListBroker:
    """Traffic, and the declaring half of Admin with its two looks, for standard queues.

    What it has not says its features record. Thread-safe: one lock around each verb.
    """

    most_in_flight = 120_000

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self.economy = Economy()
        self.features = Features(
            shared=False,
            fifo=False,
            fair_groups=False,
            priorities=False,
            limits=False,
            suspects=False,
            envelopes=False,
            urls=False,
            repairs=False,
            moves=False,
            pauses=False,
            coordination=False,
            runs=False,
            inspection=False,
        )
        self._changed = threading.Condition()
        self._tables = Tables()
        self._sequence = 0
        self._heard: list[Callable[[Collection[str]], None]] = []

        self.apply = Changes(self, self._tables, self._changed, self._settle).apply
        declarations = Declarations(self._tables, self._changed, clock)
        self.together = declarations.together
        self.create_topic = declarations.create_topic
        self.set_topic = declarations.set_topic
        self.delete_topic = declarations.delete_topic
        self.create_queue = declarations.create_queue
        self.set_queue = declarations.set_queue
        self.delete_queue = declarations.delete_queue
        self.subscribe = declarations.subscribe
        self.put_subscription = declarations.put_subscription
        self.unsubscribe = declarations.unsubscribe
        self.topics = declarations.topics
        self.queues = declarations.queues
        self.subscriptions = declarations.subscriptions
        self.settings = declarations.settings
        self.topic_settings = declarations.topic_settings
        self.describe_queue = declarations.describe_queue
        self.describe_topic = declarations.describe_topic
        self.tag_queue = declarations.tag_queue
        self.tag_topic = declarations.tag_topic
        self.identity = declarations.identity
        self.set_identity = declarations.set_identity

    # ---- look -------------------------------------------------------------------------------
    def counts(self, queue: str) -> QueueCounts:
        with self._changed:
            return self._tables.queue(queue).counts(self.clock.now())

    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        with self._changed:
            found = [
                one
                for name, one in sorted(self._tables.queues.items())
                if queues is None or name in queues
            ]
            now = self.clock.now()
            return {
                one.name: Surveyed(one.settings, one.counts(now), one.created_at) for one in found
            }

    def waiting(self, queue: str, most: int) -> int:
        with self._changed:
            return min(most, len(self._tables.queue(queue).due(self.clock.now())))

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        with self._changed:
            return self._tables.queue(queue).peek(limit, ids, self.clock.now())

    # ---- send -------------------------------------------------------------------------------
    def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> Published:
        check_no_connection(connection, "a broker over lists")
        with self._changed:
            subscriptions = [
                (one, queue)
                for one in self._tables.topic(topic).subscriptions
                if not one.pending and (queue := self._target(one))
            ]
            plan = [
                (message, [queue for one, queue in subscriptions if wants(one, message)])
                for message in messages
            ]
            counted = [one for one, _ in subscriptions if one.endpoint in self._tables.queues]
            return Published(len(counted), self._store(plan, topic))

    def send(
        self,
        queue: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Sent]:
        check_no_connection(connection, "a broker over lists")
        with self._changed:
            found = self._tables.queue(queue)
            return self._store([(message, [found]) for message in messages], "")

    def _target(self, subscription: TopicSubscription) -> ListQueue | None:
        queues = self._tables.queues
        return queues.get(subscription.endpoint) or queues.get(subscription.dead_letter_queue or "")

    def _store(self, plan: Sequence[tuple[Message, list[ListQueue]]], topic: str) -> list[Sent]:
        for message, queues in plan:
            for queue in queues:
                queue.check(message)
        sent = []
        for message, queues in plan:
            self._sequence += 1
            numbers = [
                queue.add(message, topic, self._sequence, self.clock.now()) for queue in queues
            ]
            sent.append(Sent(message.id, min(numbers, default=self._sequence)))
        self._tell({queue.name for _, queues in plan for queue in queues})
        return sent

    def _tell(self, queues: Collection[str]) -> None:
        self._changed.notify_all()
        for heard in self._heard:
            heard(queues)

    # ---- receive ----------------------------------------------------------------------------
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
        with self._changed:
            deadline = self.clock.now() + wait
            while True:
                now = self.clock.now()
                found = self._lend(queues, limit, visibility, now)
                if found or now >= deadline or (stop is not None and stop()):
                    return found
                due = self.next_due(*queues)
                self.clock.wait(self._changed, min(deadline, due or deadline) - now)

    def _lend(
        self, queues: Sequence[str], limit: int, visibility: float | None, now: float
    ) -> list[Delivery]:
        lent: list[Delivery] = []
        for queue in [self._tables.queue(name) for name in queues]:
            has_dlq = queue.settings.dead_letter_queue in self._tables.queues
            most = queue.settings.max_receives if has_dlq else None
            for held in queue.due(now):
                if len(lent) == limit:
                    return lent
                if most is not None and held.receive_count >= most:
                    why = {"reason": "it was never finished", "attempts": held.receive_count}
                    self._bury(queue, held, json.dumps(why))
                elif queue.in_flight(now) >= self.most_in_flight:
                    if not lent:
                        raise OverLimit(f"{queue.name}: {self.most_in_flight} messages in flight")
                    break
                else:
                    seconds = (
                        queue.settings.visibility_timeout if visibility is None else visibility
                    )
                    receipt = f"{now!r}/{self.random.getrandbits(128):032x}"
                    held.lend(receipt, now, now + seconds)
                    lent.append(held.delivery(queue.name, held.receipt or ""))
        return lent

    def received_at(self, receipts: Sequence[str]) -> list[float | None]:
        found = [_RECEIPT.fullmatch(receipt) for receipt in receipts]
        return [None if one is None else float(one[1]) for one in found]

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def next_due(self, *queues: str) -> float | None:
        with self._changed:
            now = self.clock.now()
            found = [self._tables.queue(name).next_due(now) for name in queues]
            return min((due for due in found if due is not None), default=None)

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        with self._changed:
            now = self.clock.now()
            return [self._tables.queue(one.queue).lease(one, now) for one in deliveries]

    # ---- settle -----------------------------------------------------------------------------
    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        with self._changed:
            return [self._settle(entry, fence) for entry in entries]

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        with self._changed:
            hidden = [Hide(one, seconds) for one, seconds in entries]
            for one in hidden:
                check_seconds("visibility", one.seconds, 0, float("inf"))
            return [self._settle(one, fence) for one in hidden]

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        return self.change_visibility(entries)

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        with self._changed:
            return [self._settle(GiveBack(one)) for one in deliveries]

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        with self._changed, self._tables.undone_by_errors():
            return [self._settle(Bury(one, failure)) for one, failure in entries]

    def _settle(self, settlement: Settlement, fence: bool = True) -> bool:
        now, delivery = self.clock.now(), settlement.delivery
        queue = self._tables.queue(delivery.queue)
        queue.drop_expired(now)
        if isinstance(settlement, Bury) and queue.settings.dead_letter_queue is None:
            raise LimitExceeded(f"queue {queue.name!r} has no dead-letter queue")
        if (held := queue.find(delivery.receipt, fence)) is None:
            return False
        match settlement:
            case Finish():
                queue.messages.remove(held)
                queue.handled += 1
            case Hide() | Keep():
                if held.visible_at <= now:
                    return False
                held.visible_at = delivery.visible_at = now + settlement.seconds
            case GiveBack():
                held.give_back(now)
            case Bury():
                self._bury(queue, held, settlement.failure)
        self._tell([queue.name])
        return True

    def _bury(self, queue: ListQueue, held: HeldMessage, failure: str) -> None:
        now = self.clock.now()
        letters = self._tables.queue(queue.settings.dead_letter_queue or "")
        letters.messages = [one for one in letters.messages if one.name != held.name]
        self._sequence += 1
        letter = HeldMessage(
            held.message,
            held.topic,
            {**held.attributes, FAILURE: failure},
            self._sequence,
            held.sent_at,
            now,
            source=queue.name,
            received_before=held.receive_count,
        )
        letters.messages.append(letter)
        queue.messages.remove(held)
        queue.dead_lettered += 1
        self._tell([letters.name])

    # ---- the broker itself ------------------------------------------------------------------
    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        self._heard.append(heard)

    def hurry(self) -> None: ...

    def close(self) -> None: ...


_: type[Traffic] = ListBroker
