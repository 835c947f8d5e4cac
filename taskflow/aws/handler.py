"""The same handlers in AWS Lambda: a function for its SQS event source. Without boto3.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol, runtime_checkable

from taskflow.aws.batch import Received, read_event
from taskflow.aws.batch_settler import BatchSettler
from taskflow.broker import Broker
from taskflow.clock import Clock, SystemClock
from taskflow.entry import Entry
from taskflow.errors import HandlerTimeout, QueueNotFound
from taskflow.event import Context
from taskflow.forking import RANDOM
from taskflow.message import Delivery
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.sealing.sealed_broker import open_delivery, sealed
from taskflow.telemetry.logs import log_runs
from taskflow.worker.execute import execute, find_job, identify
from taskflow.worker.job import Job
from taskflow.worker.job_intake import claim
from taskflow.worker.ordering import Lane, lane_of
from taskflow.worker.timeouts import LoopThread, Running

MARGIN = 1.0  # seconds of Lambda's time limit that are kept for settling and the answer
INTERRUPT_SOON = 0.05  # seconds until a handler in a store's own step is interrupted after all


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
        returned: list[Delivery] = []
        closed: set[Lane] = set()
        settler = BatchSettler(self._broker)
        for received, job in zip(batch, jobs, strict=True):
            lane = lane_of(job.delivery)
            if lane in closed or self._clock.now() >= ends_at:
                returned.append(job.delivery)
                handled = False
            elif job.delivery.receipt in elsewhere:
                handled = False
            elif received.due > self._clock.now():
                settler.hide(job.delivery, received.due - self._clock.now())
                handled = False
            else:
                self._run(job, ends_at)
                handled = settler.settle(job)
            if not handled:
                failed.append(received.message_id)
                if lane is not None:
                    closed.add(lane)
        settler.remember()
        settler.give_back(returned)
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
                    if left <= 0 and running.expire(self._clock.elapsed()):
                        return
                    self._clock.wait(ended, left if left > 0 else INTERRUPT_SOON)

        thread = threading.Thread(target=watch, name="taskflow-limit", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with ended:
                over = True
                ended.notify_all()
            thread.join()


class _Limited(Running):
    """A run whose time may be limited by Lambda."""

    by_lambda = False

    def timeout(self) -> HandlerTimeout:
        if not self.by_lambda:
            return super().timeout()
        return HandlerTimeout(f"had {self.seconds:.1f} s until the Lambda function's time was up")
