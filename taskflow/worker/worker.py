"""The worker: receive, execute, settle. Without threads here; `pool` adds them."""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from taskflow.broker import Broker, Finish
from taskflow.broker.settings import Holding
from taskflow.errors import BrokerError, BrokerUnavailable, ConfigError, QueueNotFound
from taskflow.message import Delivery
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.retry import Dead, Done, Outcome, Retry, describe
from taskflow.telemetry.logs import log_runs
from taskflow.topology import declare
from taskflow.wire.failure_record import failure_record
from taskflow.worker.execute import Invoke, Job, execute, find_job, invoke, within_retention
from taskflow.worker.ordering import Groups, divide

log = logging.getLogger("taskflow.worker")

T = TypeVar("T")
NOTHING = Holding()


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run. `at` is when it ended, in epoch seconds."""

    job: Job
    outcome: Outcome
    at: float


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Results that the broker could not be told of, since it cannot be used now."""

    results: list[Result]
    error: BrokerUnavailable


class Worker:
    """Runs the handlers of some queues (all queues of the registry by default).

    A mapping gives queues weights: one of weight 6 is asked first six times as often as one of
    weight 1. `strict`: always in the order given, a later queue only when the earlier are empty.
    Declares topics and queues when it is made. Raises QueueNotFound for a queue without a
    handler, QueueExists when the broker's queues disagree with the subscriptions.
    """

    def __init__(
        self,
        broker: Broker,
        queues: str | Iterable[str] | Mapping[str, float] = (),
        *,
        strict: bool = False,
        registry: Registry = default_registry,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        if isinstance(queues, str):
            queues = (queues,)
        self.broker = broker
        self.registry = registry
        self.queues = tuple(dict.fromkeys(queues)) or tuple(registry.queues())
        self._strict = strict
        self._weights = (
            dict(queues)
            if queues and isinstance(queues, Mapping)
            else dict.fromkeys(self.queues, 1.0)
        )
        for name, weight in self._weights.items():
            if not weight > 0:
                raise ConfigError(f"the weight of queue {name!r} is {weight:g}; above 0")
        if not self.queues:
            raise ConfigError("no subscription was loaded: name the modules that hold handlers")
        for name in self.queues:
            if not registry.on(name):
                raise QueueNotFound(name, registry.queues())
        self._middleware = (log_runs(broker.clock), *registry.middleware, *middleware)
        self._retention: dict[str, float] = {}
        self.declare()

    def declare(self) -> None:
        """Declare topics and queues. Once is enough, unless the broker's file is another one."""
        declare(self.broker, self.registry)
        self._retention = {name: self.broker.settings(name).retention for name in self.queues}

    def queue_order(self) -> list[str]:
        """The order in which to ask the queues this time."""
        if self._strict or len(self.queues) == 1:
            return list(self.queues)
        draw = self.broker.random.random
        return sorted(
            self.queues, key=lambda name: draw() ** (1 / self._weights[name]), reverse=True
        )

    def take(
        self,
        limit: int,
        wait: float = 0.0,
        stop: Callable[[], bool] | None = None,
        queues: Sequence[str] = (),
        holding: Holding = NOTHING,
    ) -> list[Job]:
        """Receive up to `limit` messages, and see which their queue has finished before.

        Those of a FIFO queue that had better not wait behind others are given back at once; those
        that another worker runs already are left to it.
        """
        asked_queues = queues or self.queue_order()
        deliveries = self.broker.receive(
            *asked_queues, limit=limit, wait=wait, stop=stop, holding=holding
        )
        try:
            jobs = [find_job(delivery, self.registry) for delivery in deliveries]
            if any(delivery.group is not None for delivery in deliveries):
                jobs, returned = divide(jobs)
                self._give_back(returned)
            running = claim(self.broker, jobs)
        except BaseException:
            with suppress(BrokerError):  # else they come back when their leases end
                self.broker.give_back(deliveries)
            raise
        return [job for job in jobs if job.delivery.receipt not in running] if running else jobs

    def execute(self, job: Job, invoke: Invoke = invoke) -> Result:
        """Run one job to its outcome."""
        broker = self.broker
        outcome = execute(
            job,
            clock=broker.clock,
            random=broker.random,
            middleware=self._middleware,
            invoke=invoke,
        )
        return Result(job, outcome, broker.clock.now())

    def settle(self, results: Sequence[Result]) -> Unsettled | None:
        """Tell the broker how runs ended: the one place where outcomes become verbs. Answers what
        is to be told again later.

        A stale receipt is logged: the lease was lost, and the message runs again elsewhere. So is
        what the broker refuses for good: those messages come back when their leases end.
        """
        done: list[Finish] = []
        retries: list[tuple[Delivery, float]] = []
        dead: list[tuple[Delivery, str]] = []
        by_kind: tuple[list[Result], list[Result], list[Result]] = ([], [], [])
        for result in results:
            job = result.job
            retention = self._retention[job.delivery.queue]
            outcome = within_retention(result.outcome, job.delivery, result.at, retention)
            match outcome:
                case Done(duplicate=duplicate):
                    window = job.subscription.window if job.subscription else 0.0
                    done.append(Finish(job.delivery, 0.0 if duplicate else window))
                    by_kind[0].append(result)
                case Retry(after=after):
                    retries.append((job.delivery, after))
                    by_kind[1].append(result)
                case Dead():
                    dead.append((job.delivery, failure_text(result, outcome)))
                    by_kind[2].append(result)
        broker = self.broker
        tellings: tuple[Callable[[], None], ...] = (
            lambda: _tell(broker.delete, done, [entry.delivery for entry in done]),
            lambda: _tell(broker.change_visibility, retries, [delivery for delivery, _ in retries]),
            lambda: _tell(broker.dead_letter, dead, [delivery for delivery, _ in dead]),
        )
        for index, tell in enumerate(tellings):
            try:
                tell()
            except BrokerUnavailable as error:
                return Unsettled([result for kind in by_kind[index:] for result in kind], error)
        return None

    def step(self, limit: int = 10, wait: float = 0.0) -> list[Result]:
        """One receive; run and settle what came, in this thread.

        Messages of a FIFO queue whose group cannot go on, since an earlier one is to be tried
        again, are given back, as is what lost its lease before it could start.
        """
        results = []
        groups = Groups()
        jobs = deque(job for job in self.take(limit, wait) if groups.enter(job))
        while jobs:
            job = jobs.popleft()
            if job.delivery.visible_at <= self.broker.clock.now():
                self._give_back([job, *groups.disband(job)])
                continue
            result = self.execute(job)
            if (unsettled := self.settle([result])) is not None:
                raise unsettled.error
            results.append(result)
            if isinstance(result.outcome, Retry):
                self._give_back(groups.disband(job))
            elif (following := groups.advance(job)) is not None:
                jobs.appendleft(following)
        return results

    def _give_back(self, jobs: Sequence[Job]) -> None:
        if jobs:
            self.broker.give_back([job.delivery for job in jobs])

    def drain(self) -> list[Result]:
        """`step` until nothing is visible."""
        results: list[Result] = []
        while more := self.step(limit=1):
            results += more
        return results


def claim(broker: Broker, jobs: Sequence[Job]) -> set[str]:
    """Claim the jobs that are to be idempotent, and note which are duplicates; answers the receipts
    of those that run elsewhere, which are not the caller's any more."""
    asked = [job for job in jobs if job.subscription is not None and job.subscription.window]
    if not asked:
        return set()
    running = set()
    claims = broker.claim([job.delivery for job in asked])
    for job, answer in zip(asked, claims, strict=True):
        job.duplicate = answer == "finished"
        if answer == "running":
            running.add(job.delivery.receipt)
    return running


def _tell(
    verb: Callable[[Sequence[T]], list[bool]], entries: Sequence[T], deliveries: Sequence[Delivery]
) -> None:
    """Tell the broker by one verb; what it refuses together, one by one. Raises
    BrokerUnavailable."""
    if not entries:
        return
    try:
        answers = verb(entries)
    except BrokerUnavailable:
        raise
    except BrokerError as error:
        if len(entries) > 1:
            for entry, delivery in zip(entries, deliveries, strict=True):
                _tell(verb, [entry], [delivery])
            return
        log.error("event=%s: how it ended cannot be recorded: %s", deliveries[0].id, error)
        return
    for delivery, ok in zip(deliveries, answers, strict=True):
        if not ok:
            log.warning(
                "event=%s queue=%s lost its lease: how it ended was not recorded",
                delivery.id,
                delivery.queue,
            )


def failure_text(result: Result, outcome: Dead) -> str:
    """The failure record as JSON. Whatever a handler's exception is made of, its message gets one:
    a record that cannot be made must not keep its neighbours' outcomes back."""
    try:
        return json.dumps(record_of(result, outcome))
    except BaseException as error:
        reason = f"failed, and its failure cannot be written: {type(error).__name__}"
        kind = type(outcome.error).__qualname__ if outcome.error else None
        delivery = result.job.delivery
        record = failure_record(reason, delivery, delivery.receive_count, result.at, error=kind)
        return json.dumps(record)


def record_of(result: Result, outcome: Dead) -> dict[str, Any]:
    """What a dead letter says of itself. Times in epoch seconds."""
    job = result.job
    delivery = job.delivery
    attempts = delivery.receive_count
    if job.subscription is not None:  # the receive that finds it worn out is no attempt
        attempts = min(attempts, job.subscription.max_attempts)
    handler = job.subscription.name if job.subscription else None
    record = failure_record(outcome.reason, delivery, attempts, result.at, handler=handler)
    return record if outcome.error is None else record | describe(outcome.error)
