"""The same handlers in AWS Lambda: a function for its SQS event source. Without boto3.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol, runtime_checkable

from taskflow.aws.batch import Received, read_event
from taskflow.broker import Broker, Finish
from taskflow.clock import Clock, SystemClock
from taskflow.errors import BrokerError, HandlerTimeout, QueueNotFound
from taskflow.event import Context
from taskflow.forking import RANDOM
from taskflow.message import Delivery
from taskflow.middleware import Middleware
from taskflow.registry import Registry, Subscription, default_registry
from taskflow.retry import Dead, Done, Retry
from taskflow.telemetry.logs import log_runs
from taskflow.worker.execute import Job, execute, find_job, within_retention
from taskflow.worker.ordering import Lane, lane_of
from taskflow.worker.timeouts import LoopThread, Running
from taskflow.worker.worker import Result, claim, failure_text

log = logging.getLogger("taskflow.aws")

MARGIN = 1.0  # seconds of Lambda's time limit that are kept for settling and the answer


class LambdaContext(Protocol):
    """What is used of the context that Lambda gives."""

    def get_remaining_time_in_millis(self) -> int: ...


@runtime_checkable
class _Loads(Protocol):
    """A broker that may keep payloads elsewhere: the AWS one, which is not imported here."""

    def load_payloads(self, deliveries: Sequence[Delivery]) -> list[Delivery]: ...


def lambda_handler(
    queue: str,
    *,
    registry: Registry = default_registry,
    broker: Broker | None = None,
    middleware: Sequence[Middleware] = (),
    clock: Clock | None = None,
    random: Random | None = None,
) -> "LambdaHandler":
    """A function `(event, context)` for Lambda that runs the handlers of `queue` for a batch of
    SQS, and answers which messages failed. The event source must have ReportBatchItemFailures on.

    With a broker (`open_broker("aws://…")`) retries wait for their backoff, dead letters get their
    failure record, and finished events are remembered. Without one that is left to SQS: a failed
    message comes back when its visibility timeout ends, and its redrive policy buries it.
    `clock` and `random` are the broker's, if there is one. Raises QueueNotFound for a queue
    without a handler.
    """
    if not registry.on(queue):
        raise QueueNotFound(queue, registry.queues())
    if broker is not None:
        clock, random = broker.clock, broker.random
    clock = clock or SystemClock()
    around = (log_runs(clock), *registry.middleware, *middleware)
    return LambdaHandler(queue, registry, broker, around, clock, random or RANDOM)


class LambdaHandler:
    """Made by `lambda_handler`; for one batch at a time, as Lambda calls it."""

    def __init__(
        self,
        queue: str,
        registry: Registry,
        broker: Broker | None,
        middleware: Sequence[Middleware],
        clock: Clock,
        random: Random,
    ) -> None:
        self._queue = queue
        self._registry = registry
        self._broker = broker
        self._middleware = middleware
        self._clock = clock
        self._random = random
        self._loop: LoopThread | None = None

    def __call__(
        self, event: Mapping[str, Any], context: LambdaContext
    ) -> dict[str, list[dict[str, str]]]:
        """Run a batch. What is not done is in `batchItemFailures`: what failed, what time was too
        short for, and on a FIFO queue what follows a failure in its group.

        Raises ConfigError for an event that is no batch of this queue, and BrokerError when the
        broker cannot say what was finished before: then Lambda returns the whole batch.
        """
        now = self._clock.now()
        ends_at = now + context.get_remaining_time_in_millis() / 1000 - MARGIN
        lease = self._registry.on(self._queue)[0].visibility_timeout
        batch = read_event(event, self._queue, now, max(now + lease, ends_at + MARGIN))
        jobs, elsewhere = self._find_jobs(batch, now)
        failed: list[str] = []
        done: list[Finish] = []
        returned: list[Delivery] = []
        closed: set[Lane] = set()
        for received, job in zip(batch, jobs, strict=True):
            lane = lane_of(job.delivery)
            if lane in closed or self._clock.now() >= ends_at:
                returned.append(job.delivery)
                handled = False
            elif job.delivery.receipt in elsewhere:
                handled = False
            elif received.due > self._clock.now():
                self._hide(job.delivery, received.due - self._clock.now())
                handled = False
            else:
                handled = self._settle(self._run(job, ends_at), done)
            if not handled:
                failed.append(received.message_id)
                if lane is not None:
                    closed.add(lane)
        self._remember(done)
        self._give_back(returned)
        return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}

    def close(self) -> None:
        """End the event loop of `async def` handlers. Lambda never needs it."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    # ---- running ----------------------------------------------------------------------------
    def _find_jobs(self, batch: Sequence[Received], now: float) -> tuple[list[Job], set[str]]:
        """The jobs, and the receipts of those that are not to be run here and now: the broker
        has hidden or dead-lettered them."""
        elsewhere: set[str] = set()
        if isinstance(self._broker, _Loads):
            deliveries = [received.delivery for received in batch if received.due <= now]
            found = {one.receipt for one in self._broker.load_payloads(deliveries)}
            elsewhere = {one.receipt for one in deliveries} - found
        jobs = [find_job(received.delivery, self._registry) for received in batch]
        if self._broker is not None:
            here = [job for job in jobs if job.delivery.receipt not in elsewhere]
            elsewhere |= claim(self._broker, here)
        return jobs, elsewhere

    def _run(self, job: Job, ends_at: float) -> Result:
        def invoke(subscription: Subscription, context: Context) -> Any:
            if self._loop is None:
                self._loop = LoopThread(self._clock)
            running = _Limited(job, self._loop, self._clock.elapsed())
            if context.deadline is None or context.deadline > ends_at:
                context.deadline = ends_at
                running.by_lambda = True
            running.seconds = context.deadline - self._clock.now()
            with self._expiring(running, running.started + running.seconds):
                return running.invoke(subscription, context)

        outcome = execute(
            job,
            clock=self._clock,
            random=self._random,
            middleware=self._middleware,
            invoke=invoke,
        )
        return Result(job, outcome, self._clock.now())

    @contextmanager
    def _expiring(self, running: Running, deadline: float) -> Iterator[None]:
        """Stop the run inside the block at `deadline` (the clock's `elapsed`)."""
        ended = threading.Condition()
        over = False

        def watch() -> None:
            with ended:
                while not over:
                    left = deadline - self._clock.elapsed()
                    if left <= 0:
                        running.expire(self._clock.elapsed())
                        return
                    self._clock.wait(ended, left)

        thread = threading.Thread(target=watch, name="taskflow-limit", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with ended:
                over = True
                ended.notify_all()
            thread.join()

    # ---- settling ---------------------------------------------------------------------------
    def _settle(self, result: Result, done: list[Finish]) -> bool:
        """Whether the message is handled, so that Lambda may delete it."""
        delivery, outcome = result.job.delivery, result.outcome
        if self._broker is not None and isinstance(outcome, Retry):
            retention = self._retention(delivery)
            outcome = within_retention(outcome, delivery, result.at, retention)
        match outcome:
            case Done(duplicate=duplicate):
                subscription = result.job.subscription
                if subscription is not None and not duplicate:
                    done.append(Finish(delivery, subscription.window))
                return True
            case Retry(after=after):
                self._hide(delivery, after)
                return False
            case Dead():
                return self._bury(result, outcome)

    def _retention(self, delivery: Delivery) -> float:
        assert self._broker is not None
        try:
            return self._broker.settings(delivery.queue).retention
        except BrokerError as error:
            log.warning("event=%s its queue's retention is not known: %s", delivery.id, error)
            return float("inf")

    def _hide(self, delivery: Delivery, seconds: float) -> None:
        if self._broker is None:
            return
        try:
            if not self._broker.change_visibility([(delivery, seconds)])[0]:
                _lost(delivery)
        except BrokerError as error:
            log.warning(
                "event=%s comes back when its visibility timeout ends, not after %.3f s: %s",
                delivery.id,
                seconds,
                error,
            )

    def _bury(self, result: Result, outcome: Dead) -> bool:
        delivery = result.job.delivery
        if self._broker is None:
            log.error(
                "event=%s queue=%s is left to the redrive policy of its queue: %s",
                delivery.id,
                delivery.queue,
                outcome.reason,
            )
            return False
        try:
            if not self._broker.dead_letter([(delivery, failure_text(result, outcome))])[0]:
                _lost(delivery)
                return False
        except BrokerError as error:
            log.error(
                "event=%s queue=%s is left to the redrive policy of its queue: %s; %s",
                delivery.id,
                delivery.queue,
                outcome.reason,
                error,
            )
            return False
        return True

    def _remember(self, done: list[Finish]) -> None:
        """Delete what is done, so that the broker remembers it; Lambda deletes it once more."""
        if self._broker is None or not done:
            return
        try:
            for entry, ok in zip(done, self._broker.delete(done), strict=True):
                if not ok:
                    _lost(entry.delivery)
        except BrokerError as error:
            log.warning("%d finished events are not remembered: %s", len(done), error)

    def _give_back(self, deliveries: list[Delivery]) -> None:
        if self._broker is None or not deliveries:
            return
        try:
            self._broker.give_back(deliveries)
        except BrokerError as error:
            log.warning(
                "%d messages come back when their visibility timeout ends: %s",
                len(deliveries),
                error,
            )


class _Limited(Running):
    """A run whose time may be limited by Lambda."""

    by_lambda = False

    def timeout(self) -> HandlerTimeout:
        if not self.by_lambda:
            return super().timeout()
        return HandlerTimeout(f"had {self.seconds:.1f} s until the Lambda function's time was up")


def _lost(delivery: Delivery) -> None:
    log.warning(
        "event=%s queue=%s lost its lease: how it ended was not recorded",
        delivery.id,
        delivery.queue,
    )
