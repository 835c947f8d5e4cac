"""What a pool is at: jobs, runs, outcomes and leases, under one lock; and what becomes of them."""

import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from taskflow.broker import WorkerReport
from taskflow.broker.settings import Holding
from taskflow.errors import BrokerError
from taskflow.retry import Done
from taskflow.worker.execute import Job
from taskflow.worker.flow_control import FlowControl
from taskflow.worker.leases import Leases
from taskflow.worker.ordering import Groups
from taskflow.worker.timeouts import Running
from taskflow.worker.worker import Result, Unsettled, Worker

log = logging.getLogger("taskflow.worker")

FAILURES_KEPT = 20
TRY_AGAIN = 1.0  # seconds until outcomes that could not be settled are tried again


class Inflight:
    """Thread-safe. `jobs_ready` wakes threads, `upkeep_due` the upkeep, `ended` who waits for
    the end; all three share `lock`."""

    def __init__(self, worker: Worker, flow: FlowControl) -> None:
        self._worker = worker
        self._broker = worker.broker
        self._clock = worker.broker.clock
        self.lock = threading.RLock()
        # A lease must not be extended after its message was settled: a retry's wait would be
        # overwritten. So one of the two at a time.
        self._verbs = threading.Lock()
        self._economy = self._broker.economy
        self._troubled = False
        self.jobs_ready = threading.Condition(self.lock)
        self.upkeep_due = threading.Condition(self.lock)
        self.ended = threading.Condition(self.lock)
        self.flow = flow
        self.groups = Groups()
        self.leases = Leases(worker.broker)
        self.jobs: deque[Job] = deque()
        self.running: dict[int, Running] = {}
        self.results: list[Result] = []
        self.returned: list[Job] = []  # to be given back once these results are settled
        self.results_since = 0.0
        self.received_at = 0.0
        self.pace = 1.0  # seconds a handler takes on average; slow until proven short
        self.finished = 0
        self.suspects = 0  # held, one at most; nothing that lapsed is received meanwhile
        self.handlers: dict[str, dict[str, float]] = {}
        self.failures: deque[dict[str, object]] = deque(maxlen=FAILURES_KEPT)

    def add(self, jobs: list[Job]) -> None:
        """Take received jobs in: their leases are kept from now on. What waits for its group
        takes no slot."""
        with self.lock:
            now = self._clock.now()
            self.received_at = now
            if jobs and not len(self.leases):
                self.upkeep_due.notify()
            for job in jobs:
                self.leases.hold(job.delivery, now)
                self.suspects += job.delivery.suspect
            ready = [job for job in jobs if job.delivery.group is None or self.groups.enter(job)]
            self.flow.enter(ready)
            self.jobs.extend(ready)

    def holding(self) -> Holding:
        """What is held, for a receive."""
        with self.lock:
            return Holding(len(self.leases), self.suspects)

    def pop(self) -> Job | None:
        """The next job whose lease is alive; lapsed ones belong to somebody else by now."""
        now = self._clock.now()
        while self.jobs:
            job = self.jobs.popleft()
            if not job.delivery.lost and job.delivery.visible_at > now:
                return job
            self.flow.leave([job])
            self.leases.drop(job.delivery)
            self.suspects -= job.delivery.suspect
            self._return(self.groups.disband(job))
            log.warning("event=%s lost its lease before it could start", job.delivery.id)
        return None

    def end(self, running: Running, result: Result) -> bool:
        """Note how a run ended; False when it had been given up."""
        with self.lock:
            if running.abandoned:
                return False
            del self.running[id(running)]
            seconds = max(0.0, self._clock.elapsed() - running.started)
            self.pace += (max(1e-6, seconds) - self.pace) / 5
            self.add_result(result, seconds)
            return True

    def abandon(self, running: Running, result: Result) -> bool:
        """Give a run up, with this result; False when it has just ended by itself."""
        with self.lock:
            if self.running.pop(id(running), None) is None:
                return False
            running.give_up()
            self.add_result(result, self._clock.elapsed() - running.started)
            return True

    def add_result(self, result: Result, seconds: float) -> None:
        """Keep an outcome until it is settled, and count it. The lock is held."""
        if not self.unsettled():
            self.results_since = self._clock.elapsed()
        self.results.append(result)
        self.suspects -= result.job.delivery.suspect
        if result.job.delivery.group is None:
            self.flow.leave([result.job])
        else:
            self._go_on(result)
        self.finished += 1
        subscription = result.job.subscription
        name = subscription.name if subscription else "-"
        totals = self.handlers.setdefault(name, {"runs": 0, "failed": 0, "seconds": 0, "most": 0})
        totals["runs"] += 1
        totals["seconds"] += seconds
        totals["most"] = max(totals["most"], seconds)
        if not isinstance(result.outcome, Done):
            totals["failed"] += 1
            error = result.outcome.error
            self.failures.append(
                {
                    "at": result.at,
                    "queue": result.job.delivery.queue,
                    "event": result.job.delivery.id,
                    "handler": name,
                    "outcome": type(result.outcome).__name__.lower(),
                    "error": type(error).__name__ if error else "",
                }
            )

    def _go_on(self, result: Result) -> None:
        """Let the next of its group take the place of an ended run, when that was handled and
        the next one's own limits allow it; else the rest of the group is given back."""
        job, queue = result.job, result.job.delivery.queue
        room = self.flow.room(queue)
        self.flow.leave([job])
        following = self.groups.advance(job) if isinstance(result.outcome, Done) else None
        if following is None:
            self._return(self.groups.disband(job))
            return
        self.flow.enter([following])
        if self.flow.room(queue) >= min(0, room):  # below 0: so many were prefetched
            self.jobs.append(following)
        else:
            self.flow.leave([following])
            self._return([following, *self.groups.disband(following)])

    def _return(self, jobs: list[Job]) -> None:
        """Give these back with the next flush. The lock is held."""
        if jobs and not self.unsettled():
            self.results_since = self._clock.elapsed()
        self.returned += jobs

    def is_late(self) -> bool:
        """Whether outcomes have waited for company long enough. The lock is held."""
        waited = self._clock.elapsed() - self.results_since
        return self.unsettled() and waited >= self._economy.settle_within

    def unsettled(self) -> bool:
        """Whether there is something to flush."""
        return bool(self.results or self.returned)

    def flush_full(self) -> None:
        """Flush what fills the broker's calls; the rest waits for company, or for the upkeep. (A
        FIFO queue waits for nothing: the next of a group comes when this one is settled.)"""
        count = self._economy.batch
        with self.lock:
            if self.results_since > self._clock.elapsed():
                return  # the broker fails: the upkeep tries again in a while
            full = len(self.results) // count * count
            if count > 1 and any(one.job.delivery.group is not None for one in self.results):
                full = len(self.results)
            worth_it = bool(full or self.returned)
        if worth_it:
            self.flush(full)

    def flush(self, most: int | None = None) -> None:
        """Settle outcomes, the first ones or all, then give back what must not run now; on a
        broker's failure keep them for the next time."""
        with self._verbs:
            with self.lock:
                chosen = len(self.results) if most is None else most
                results, self.results = self.results[:chosen], self.results[chosen:]
                if self.results:
                    self.results_since = self._clock.elapsed()
                returned, self.returned = self.returned, []
                for result in results:
                    self.leases.drop(result.job.delivery)
            if results:
                if (unsettled := self._settle(results)) is not None:
                    self._complain("outcomes wait to be settled: %s", unsettled.error)
                    self._keep(unsettled.results, returned)
                    return
                self._troubled = False
            self.give_back(returned, "an earlier message of their group is not done")

    def _settle(self, results: list[Result]) -> Unsettled | None:
        """Settle them together; should that be impossible, one by one, so that none spoils
        another."""
        try:
            return self._worker.settle(results)
        except BaseException:
            if len(results) == 1:
                log.exception(
                    "event=%s: how it ended cannot be recorded; it comes back when its lease ends",
                    results[0].job.delivery.id,
                )
                return None
        for index, result in enumerate(results):
            if (unsettled := self._settle([result])) is not None:
                return replace(unsettled, results=results[index:])
        return None

    def _keep(self, results: list[Result], returned: list[Job]) -> None:
        """Hold on to what the broker could not be told."""
        with self.lock:
            self.results = results + self.results
            self.returned = returned + self.returned
            now = self._clock.now()
            self.results_since = self._clock.elapsed() + TRY_AGAIN
            for result in results:
                self.leases.hold(result.job.delivery, now)

    def extend(self) -> None:
        """Extend leases; a refused one is lost, and its handler may know (`ctx.lease_lost`)."""
        with self._verbs:
            with self.lock:
                due = self.leases.due(self._clock.now())
            if not due:
                return
            try:
                answers = self._broker.extend(due)
            except BrokerError as error:
                self._complain("leases could not be extended: %s", error)
                return
            self._troubled = False
        with self.lock:
            lost = self.leases.lost(due, answers)
            at_work = {id(running.job.delivery) for running in self.running.values()}
            behind = [job for delivery in lost for job in self.groups.recall(delivery)]
        self.give_back(behind, "an earlier message of their group lost its lease")
        for delivery in lost:
            if id(delivery) in at_work:
                log.warning("event=%s queue=%s lost its lease", delivery.id, delivery.queue)

    def _complain(self, text: str, error: Exception) -> None:
        """Say once that the broker fails, not at every try."""
        if not self._troubled:
            log.error(text, error)
        self._troubled = True

    def take_ready(self) -> list[Job]:
        """Remove and answer the jobs that a thread could have begun, and what waits for them."""
        with self.lock:
            ready = list(self.jobs)
            self.jobs.clear()
            self.flow.leave(ready)
            return ready + [behind for job in ready for behind in self.groups.disband(job)]

    def take_unstarted(self) -> list[Job]:
        """Remove and answer all jobs that no thread has begun."""
        with self.lock:
            return self.take_ready() + self.groups.recall_all()

    def take_all(self) -> list[Job]:
        """Give up everything that runs, too, and answer all."""
        with self.lock:
            runs = [running.job for running in self.running.values()]
            for running in self.running.values():
                running.give_up()
            self.running.clear()
            self.flow.leave(runs)
            return runs + self.take_unstarted()

    def give_back(self, jobs: Sequence[Job], why: str) -> None:
        """Let others have these messages at once; no attempt is counted."""
        if not jobs:
            return
        with self.lock:
            for job in jobs:
                self.leases.drop(job.delivery)
                self.suspects -= job.delivery.suspect
        try:
            self._broker.give_back([job.delivery for job in jobs])
            log.info("gave back %d messages: %s", len(jobs), why)
        except Exception as error:
            log.error("%d messages return when their lease ends: %s", len(jobs), error)

    def report(self, id: str, started_at: float, slots: int) -> WorkerReport:
        """What this process says of itself to the broker."""
        with self.lock:
            return WorkerReport(
                id=id,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._worker.queues,
                started_at=started_at,
                busy=len(self.running),
                slots=slots,
                handlers={name: dict(found) for name, found in self.handlers.items()},
                failures=list(self.failures),
            )
