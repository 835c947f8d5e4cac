"""Posts the messages of http and https subscriptions, and tries again.

They wait in hidden queues, one for each subscription, so a retry is a message that becomes visible
later, and nothing is lost when the server stops.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Literal
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from taskflow.broker.settings import Finish, TopicSubscription
from taskflow.errors import BrokerError, LimitExceeded, QueueNotFound
from taskflow.message import NO_ATTRIBUTES, Attributes, Delivery, Message
from taskflow.server.backend import Backend
from taskflow.server.delivery_policy import CONTENT_TYPE, DeliveryPolicy, read_policy
from taskflow.server.http_client import Client, HttpClient
from taskflow.server.waiting import LOOK_AGAIN
from taskflow.telemetry.tracing import posting
from taskflow.text import printable, shown_endpoint
from taskflow.wire.envelope import confirmation, notification

log = logging.getLogger("taskflow.server")

TIMEOUT = 15.0  # seconds for a URL to answer, from its name to the end of the head
LEASE = 60.0  # seconds a message is kept from others; more than a post takes
AT_ONCE = 16
AT_ONCE_EACH = 4  # so that one slow URL leaves room for others
AT_ONCE_UNPROVEN = 8  # to hosts that have not answered well last time, together
CONFIRMATIONS = 3  # posts of one question, whatever the topic's policy
CONFIRM_AGAIN = 20.0  # seconds
AGENT = "Amazon Simple Notification Service Agent"

Verdict = Literal["done", "again", "never"]


@dataclass(frozen=True, slots=True)
class _Post:
    """One message as its URL gets it. `attributes` go with it into a dead-letter queue."""

    headers: Mapping[str, str]
    body: str
    attributes: Attributes
    policy: DeliveryPolicy


class Deliveries:
    """What one server delivers. `run` it on the server's loop, once `backend.waiting` started."""

    def __init__(
        self,
        backend: Backend,
        client: Client | None = None,
        *,
        local_targets: Callable[[], bool] = lambda: True,
    ) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._client = client or HttpClient(local_targets)
        self._proven: set[str] = set()  # hosts that took their last message
        self._unproven = 0  # posts to others, now
        self._threads = ThreadPoolExecutor(AT_ONCE, "taskflow-post")
        self._running: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._first = 0
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Deliver until cancelled. What was begun then is delivered again later."""
        loop = asyncio.get_running_loop()

        def heard(queues: Collection[str]) -> None:
            # A new subscription is heard of too: its URL is asked to confirm it.
            if any(queue.startswith("~") for queue in queues) and not loop.is_closed():
                loop.call_soon_threadsafe(self._woken.set)

        self._broker.watch(heard)
        try:
            while True:
                self._woken.clear()
                try:
                    pause = await self._find_pause()  # what is due meanwhile is found after it
                    if not await self._start():
                        await self._sleep(pause)
                except QueueNotFound:  # unsubscribed just now
                    continue
                except BrokerError:
                    log.exception("messages for URLs cannot be read; trying again")
                    await self._backend.waiting.pause(LOOK_AGAIN)
        finally:
            for task in self._running:
                task.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def step(self) -> int:
        """Deliver what is due now, once; answers how many messages that were."""
        started = await self._start()
        await asyncio.gather(*self._running)
        return started

    # ---- when -------------------------------------------------------------------------------
    async def _start(self) -> int:
        """Begin to deliver what is due, as far as there is room; answers how many messages."""
        subscriptions = await self._subscriptions()
        free = [name for name in subscriptions if self._busy[name] < AT_ONCE_EACH]
        room = AT_ONCE - len(self._running)
        if not free or room <= 0:
            return 0
        self._first = (self._first + 1) % len(free)
        started = 0
        for queue in free[self._first :] + free[: self._first]:
            limit = min(room - started, AT_ONCE_EACH - self._busy[queue])
            if _host(subscriptions[queue]) not in self._proven:
                limit = min(limit, AT_ONCE_UNPROVEN - self._unproven)
            if limit > 0:
                taken = await self._backend.run(
                    self._broker.receive, queue, limit=limit, visibility=LEASE
                )
                for delivery in taken:
                    self._begin(subscriptions[queue], delivery)
                started += len(taken)
        return started

    async def _subscriptions(self) -> dict[str, TopicSubscription]:
        found = await self._backend.run(self._broker.subscriptions)
        return {one.queue: one for one in found if one.protocol != "sqs"}

    def _begin(self, subscription: TopicSubscription, delivery: Delivery) -> None:
        queue = subscription.queue
        self._busy[queue] += 1
        unproven = _host(subscription) not in self._proven
        self._unproven += unproven

        def end(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            self._unproven -= unproven
            self._busy[queue] -= 1
            if not self._busy[queue]:
                del self._busy[queue]
            self._woken.set()

        task = asyncio.create_task(self._deliver(subscription, delivery))
        self._running.add(task)
        task.add_done_callback(end)

    async def _find_pause(self) -> float:
        queues = list(await self._subscriptions())
        if not queues:
            return LOOK_AGAIN
        if self._backend.waiting.attend():
            return 0.0
        due = await self._backend.run(self._broker.next_due, *queues)
        left = LOOK_AGAIN if due is None else due - self._broker.clock.now()
        return min(LOOK_AGAIN, max(0.0, left))

    async def _sleep(self, seconds: float) -> None:
        waits = {
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._backend.waiting.pause(seconds)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # ---- one message ------------------------------------------------------------------------
    async def _deliver(self, subscription: TopicSubscription, delivery: Delivery) -> None:
        try:
            post = await self._backend.run(self._prepare, subscription, delivery)
            verdict: Verdict = "done"
            if post is not None:
                loop = asyncio.get_running_loop()
                verdict = await loop.run_in_executor(
                    self._threads, self._post, subscription, delivery, post
                )
                if verdict == "done" and not subscription.pending:
                    self._proven.add(_host(subscription))
                else:
                    self._proven.discard(_host(subscription))
            await self._backend.run(self._settle, subscription, delivery, post, verdict)
        except QueueNotFound:
            log.debug("%s was unsubscribed during a delivery", _shown(subscription))
        except Exception:
            log.exception("message %s for %s failed", delivery.id, _shown(subscription))

    def _prepare(self, subscription: TopicSubscription, delivery: Delivery) -> _Post | None:
        """The request for a message; None for a question that has been answered."""
        settings = self._broker.topic_settings(subscription.topic)
        identity = self._broker.identity()
        policy = read_policy(
            subscription.others.get("DeliveryPolicy"), settings.others.get("DeliveryPolicy")
        )
        topic = self._backend.arn_of_topic(subscription.topic)
        headers = {
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-message-id": delivery.id,
            "x-amz-sns-topic-arn": topic,
            "Content-Type": CONTENT_TYPE,
            "User-Agent": AGENT,
        }
        at = delivery.sent_at
        if not delivery.topic:
            if not subscription.pending:
                return None
            headers["x-amz-sns-message-type"] = "SubscriptionConfirmation"
            body = confirmation(subscription, delivery.id, settings, at, identity)
            return _Post(headers, body, NO_ATTRIBUTES, policy)
        headers["x-amz-sns-subscription-arn"] = f"{topic}:{subscription.id}"
        headers["Content-Type"] = policy.content_type
        if subscription.raw:
            headers["x-amz-sns-rawdelivery"] = "true"
            return _Post(headers, delivery.body, delivery.attributes, policy)
        message = Message(delivery.id, delivery.body, delivery.attributes, subject=delivery.subject)
        body = notification(message, subscription, settings, 0, at, identity)
        return _Post(headers, body, NO_ATTRIBUTES, policy)

    def _post(self, subscription: TopicSubscription, delivery: Delivery, post: _Post) -> Verdict:
        url = subscription.endpoint
        try:
            status = self._call(subscription, delivery, post)
        except (OSError, HTTPException, ValueError) as error:
            log.info("%s does not answer: %s", printable(shown_endpoint(url)), error)
            return "again"
        if 200 <= status < 300:
            return "done"
        log.info("%s answers %d", printable(shown_endpoint(url)), status)
        return "never" if 400 <= status < 500 and status != 429 else "again"

    def _call(self, subscription: TopicSubscription, delivery: Delivery, post: _Post) -> int:
        """The status of the answer."""
        url, body = subscription.endpoint, post.body.encode()
        if not delivery.topic:  # a question, which is of no trace
            return self._client.post(url, post.headers, body, TIMEOUT)
        with posting(subscription.topic, urlsplit(url).hostname or "", delivery) as traced:
            status = self._client.post(url, {**traced.headers, **post.headers}, body, TIMEOUT)
            traced.answered(status)
            return status

    def _settle(
        self,
        subscription: TopicSubscription,
        delivery: Delivery,
        post: _Post | None,
        verdict: Verdict,
    ) -> None:
        if post is not None and verdict == "again":
            delay = post.policy.delay(delivery.receive_count)
            if not delivery.topic:  # a question, to somebody who has not asked for anything
                delay = CONFIRM_AGAIN if delivery.receive_count < CONFIRMATIONS else None
            if delay is not None:
                self._broker.change_visibility([(delivery, delay)])
                return
        if post is not None and verdict != "done":
            self._give_up(subscription, delivery, post)
        self._broker.delete([Finish(delivery)])

    def _give_up(self, subscription: TopicSubscription, delivery: Delivery, post: _Post) -> None:
        target = subscription.dead_letter_queue if delivery.topic else None
        if target is None:
            log.warning(
                "message %s is dropped: %s did not take it", delivery.id, _shown(subscription)
            )
            return
        # The same id each time, but one for each subscription that shares the dead-letter queue.
        id = str(uuid5(NAMESPACE_URL, f"{subscription.id}/{delivery.id}"))
        try:
            self._broker.send(target, [Message(id, post.body, post.attributes)])
        except (QueueNotFound, LimitExceeded) as error:
            log.warning(
                "message %s for %s is dropped: %s", delivery.id, _shown(subscription), error
            )


def _shown(subscription: TopicSubscription) -> str:
    return printable(shown_endpoint(subscription.endpoint))


def _host(subscription: TopicSubscription) -> str:
    return urlsplit(subscription.endpoint).netloc.rpartition("@")[2].lower()
