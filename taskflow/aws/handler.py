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
from taskflow.broker import Broker
from taskflow.clock import Clock, SystemClock
from taskflow.entry import Entry
from taskflow.errors import BrokerError, HandlerTimeout, QueueNotFound
from taskflow.event import Context
from taskflow.forking import RANDOM
from taskflow.message import Delivery
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.retry import Dead, Done, Retry
from taskflow.sealing.sealed_broker import open_delivery, sealed
from taskflow.telemetry.logs import log_runs
from taskflow.worker.execute import execute, find_job, identify
from taskflow.worker.job import Job
from taskflow.worker.job_intake import claim
from taskflow.worker.ordering import Lane, lane_of
from taskflow.worker.outcomes import final, tell
from taskflow.worker.timeouts import LoopThread, Running

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
        broker = sealed(broker, registry.codec)
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
        done: list[Job] = []
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
                self._run(job, ends_at)
                handled = self._settle(job, done)
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
        codec = self._registry.codec
        if codec is not None:
            batch = [one._replace(delivery=open_delivery(codec, one.delivery)) for one in batch]
        jobs = [find_job(received.delivery, self._registry) for received in batch]
        identify(jobs, self._broker, self._registry)
        if self._broker is not None:
            here = [job for job in jobs if job.delivery.receipt not in elsewhere]
            elsewhere |= {job.delivery.receipt for job in claim(self._broker, here)}
        return jobs, elsewhere

    def _run(self, job: Job, ends_at: float) -> None:
        def invoke(entry: Entry, context: Context) -> Any:
            if self._loop is None:
                self._loop = LoopThread(self._clock)
            running = _Limited(entry.timeout, self._loop, self._clock.elapsed())
            if context.deadline is None or context.deadline > ends_at:
                context.deadline = ends_at
                running.by_lambda = True
            running.seconds = context.deadline - self._clock.now()
            with self._expiring(running, running.started + running.seconds):
                return running.invoke(entry, context)

        job.outcome = execute(
            job,
            clock=self._clock,
            random=self._random,
            middleware=self._middleware,
            invoke=invoke,
            broker=self._broker,
        )
        job.ended_at = self._clock.now()

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
    def _settle(self, job: Job, done: list[Job]) -> bool:
        """Whether the message is handled, so that Lambda may delete it."""
        if self._broker is not None:
            job.outcome = final(job, self._retention)
        match job.outcome:
            case Done(duplicate=duplicate):
                if job.entry is not None and not duplicate:
                    done.append(job)
                return True
            case Retry(after=after):
                if self._broker is not None:
                    for error in self._tell(self._broker, [job])[1]:
                        _comes_back_early(job.delivery, after, error)
                return False
            case Dead(reason=reason):
                return self._bury(job, reason)

    def _retention(self, queue: str) -> float:
        assert self._broker is not None
        try:
            return self._broker.settings(queue).retention
        except BrokerError as error:
            log.warning("the retention of queue %s is not known: %s", queue, error)
            return float("inf")

    def _tell(self, broker: Broker, jobs: Sequence[Job]) -> tuple[bool, list[Exception]]:
        """Tell the broker how they ended: whether it knows all of it, and why not."""
        answers = tell(broker, jobs, lambda queue: float("inf"))  # their outcomes are final
        for job in answers.lost:
            _lost(job.delivery)
        errors = [error for _, error in answers.refused]
        if answers.error is not None:
            errors += [answers.error] * len(answers.untold)
        return len(answers.settled) == len(jobs), errors

    def _hide(self, delivery: Delivery, seconds: float) -> None:
        if self._broker is None:
            return
        try:
            if not self._broker.change_visibility([(delivery, seconds)])[0]:
                _lost(delivery)
        except BrokerError as error:
            _comes_back_early(delivery, seconds, error)

    def _bury(self, job: Job, reason: str) -> bool:
        left = "event=%s queue=%s is left to the redrive policy of its queue: %s"
        delivery = job.delivery
        if self._broker is None:
            log.error(left, delivery.id, delivery.queue, reason)
            return False
        told, errors = self._tell(self._broker, [job])
        for error in errors:
            log.error(left + "; %s", delivery.id, delivery.queue, reason, error)
        return told

    def _remember(self, done: list[Job]) -> None:
        """Delete what is done, so that the broker remembers it; Lambda deletes it once more."""
        if self._broker is None or not done:
            return
        _, errors = self._tell(self._broker, done)
        if errors:
            log.warning("%d finished events are not remembered: %s", len(errors), errors[0])

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


def _comes_back_early(delivery: Delivery, seconds: float, error: Exception) -> None:
    log.warning(
        "event=%s comes back when its visibility timeout ends, not after %.3f s: %s",
        delivery.id,
        seconds,
        error,
    )


def _lost(delivery: Delivery) -> None:
    log.warning(
        "event=%s queue=%s lost its lease: how it ended was not recorded",
        delivery.id,
        delivery.queue,
    )
