"""Threads around a worker: concurrency, leases, time limits, and a graceful stop.

There is no dispatcher. A thread without work becomes the leader: it settles what has ended,
receives for all free threads, and starts on the first message itself while it wakes another for
the next. While handlers take less than a millisecond, threads only cost: one runs them one after
the other, and a receive brings as many as it will have started within PREFETCH seconds. What
turns out slower than that is spread over the threads, and what they cannot take is given back.
"""

import logging
import threading
from collections import deque

from taskflow.errors import BrokerError
from taskflow.execute import Job
from taskflow.lease import Leases
from taskflow.message import Delivery
from taskflow.retry import decide
from taskflow.running import LoopThread, Running
from taskflow.worker import Result, Worker

log = logging.getLogger("taskflow.worker")

LONG_POLL = 20.0
SETTLE_WITHIN = 0.05  # the longest an outcome waits for company
SHORT = 0.001  # handlers faster than this (on average) run in one thread
PREFETCH, MOST_PREFETCHED = 0.02, 100  # seconds of short work in one receive, and messages
HELP_AFTER = 0.005  # seconds after which other threads help with short work after all
HOLD_UNSTARTED = 0.25  # seconds after which messages that no thread could take are given back
GIVE_UP_AFTER = 5.0  # seconds a handler may ignore its HandlerTimeout
FIRST_OUTAGE_WAIT, LAST_OUTAGE_WAIT = 0.5, 30.0


class Pool:
    """`concurrency` threads that run a worker's handlers until `stop`.

    `stop` is graceful: nothing new is received, messages not yet started are given back, running
    handlers may finish within `grace` seconds, then they are given back too. `stop_now` does not
    wait. Giving back burns no attempt.
    """

    def __init__(self, worker: Worker, *, concurrency: int = 8, grace: float = 30.0) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; 1 or more")
        self._worker = worker
        self._broker = worker.broker
        self._clock = worker.broker.clock
        self._concurrency = concurrency
        self._grace = grace
        # One lock for all of this; threads wait for jobs on one condition, the keeper and `run`
        # on their own.
        lock = threading.RLock()
        self._jobs_ready = threading.Condition(lock)
        self._keeper_due = threading.Condition(lock)
        self._ended = threading.Condition(lock)
        self._jobs: deque[Job] = deque()
        self._running: dict[int, Running] = {}
        self._results: list[Result] = []
        self._results_since = 0.0
        self._leases = Leases(worker.broker)
        self._leading = False
        self._polling = False
        self._drained = True
        self._pace = 1.0  # seconds a handler takes on average; slow until proven short
        self._received_at = 0.0
        self._idle = 0
        self._threads = 0
        self._stopping = False
        self._stop_by: float | None = None
        self._closed = False
        self._outage_wait = 0.0
        self._loop_thread: LoopThread | None = None

    def run(self) -> None:
        """Work until `stop`; returns when every message is settled or given back."""
        self._loop_thread = LoopThread()
        keeper = threading.Thread(target=self._keep, name="taskflow-keeper", daemon=True)
        keeper.start()
        with self._jobs_ready:
            for _ in range(self._concurrency):
                self._start_thread()
        self._wait_for_end()
        self._give_back_rest()
        with self._keeper_due:
            self._closed = True
            self._keeper_due.notify()
        keeper.join()
        self._loop_thread.close()
        self._flush()

    def stop(self) -> None:
        """Stop gracefully. Thread-safe, idempotent, returns at once."""
        self._begin_stop(self._clock.now() + self._grace)

    def stop_now(self) -> None:
        """Stop without waiting for running handlers. Thread-safe, idempotent."""
        self._begin_stop(self._clock.now())

    def _begin_stop(self, by: float) -> None:
        with self._jobs_ready:
            self._stopping = True
            self._stop_by = by if self._stop_by is None else min(by, self._stop_by)
            self._jobs_ready.notify_all()
            self._ended.notify_all()
        self._broker.wake()

    def _wait_for_end(self) -> None:
        with self._ended:
            while self._threads:
                left = None
                if self._stop_by is not None:
                    left = self._stop_by - self._clock.now()
                    if left <= 0:
                        return
                self._clock.wait(self._ended, left)

    def _give_back_rest(self) -> None:
        with self._jobs_ready:
            for running in self._running.values():
                running.abandoned = True
            rest = [running.job for running in self._running.values()] + list(self._jobs)
            self._running.clear()
            self._jobs.clear()
        self._give_back(rest)

    # ---- threads ----------------------------------------------------------------------------
    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="taskflow-worker", daemon=True).start()

    def _work(self) -> None:
        try:
            while (running := self._next()) is not None:
                result = self._worker.execute(running.job, running.invoke)
                if not self._end(running, result):
                    return  # given up on: another thread has this place
        finally:
            with self._ended:
                self._threads -= 1
                self._ended.notify_all()

    def _next(self) -> Running | None:
        """The next job for this thread, leading if need be; None to stop."""
        while True:
            with self._jobs_ready:
                while not self._jobs and self._leading and not self._stopping:
                    self._idle += 1
                    self._clock.wait(self._jobs_ready, None)
                    self._idle -= 1
                if self._stopping:
                    return None
                if self._jobs:
                    assert self._loop_thread is not None
                    running = Running(
                        self._jobs.popleft(), self._loop_thread.loop, self._clock.now()
                    )
                    self._running[id(running)] = running
                    if self._idle and (
                        (self._jobs and self._pace > SHORT)
                        or (not self._jobs and self._drained and not self._leading)
                    ):
                        self._jobs_ready.notify()
                    return running
                self._leading = True
                wanted = self._concurrency - len(self._running)
                if self._pace <= SHORT:
                    wanted = max(wanted, min(MOST_PREFETCHED, int(PREFETCH / self._pace)))
            self._lead(wanted)

    def _lead(self, wanted: int) -> None:
        """Settle, then receive as many as wanted; with nothing there, wait for it."""
        jobs: list[Job] = []
        try:
            self._flush()
            jobs = self._worker.take(wanted)
            if not jobs:
                with self._jobs_ready:
                    self._polling = True
                self._flush()
                jobs = self._worker.take(wanted, LONG_POLL, lambda: self._stopping)
            self._outage_wait = 0.0
        except BrokerError as error:
            self._ride_out(error)
        finally:
            with self._jobs_ready:
                now = self._clock.now()
                self._leading = self._polling = False
                self._drained = len(jobs) < wanted
                self._received_at = now
                if jobs and not len(self._leases):
                    self._keeper_due.notify()
                for job in jobs:
                    self._leases.hold(job.delivery, now)
                self._jobs.extend(jobs)
                stopping = self._stopping
        if stopping and jobs:
            with self._jobs_ready:
                rest, self._jobs = list(self._jobs), deque()
            self._give_back(rest)

    def _ride_out(self, error: BrokerError) -> None:
        """Wait, longer each time, while the broker cannot be used; say so once."""
        if not self._outage_wait:
            log.error("the broker cannot be used, will keep trying: %s", error)
        longest = max(FIRST_OUTAGE_WAIT, min(LAST_OUTAGE_WAIT, self._outage_wait * 2))
        self._outage_wait = longest
        until = self._clock.now() + self._broker.random.uniform(longest / 2, longest)
        with self._jobs_ready:
            while not self._stopping and (left := until - self._clock.now()) > 0:
                self._clock.wait(self._jobs_ready, left)

    def _end(self, running: Running, result: Result) -> bool:
        """Note how a run ended; False when it had been given up."""
        with self._jobs_ready:
            if running.abandoned:
                return False
            del self._running[id(running)]
            self._pace += (max(1e-6, result.at - running.started) - self._pace) / 5
            self._add_result(result)
            alone = self._polling or self._stopping  # no leader comes by soon
        if alone:
            self._flush()
        return True

    # ---- settling ---------------------------------------------------------------------------
    def _add_result(self, result: Result) -> None:
        if not self._results:
            self._results_since = self._clock.now()
        self._results.append(result)

    def _flush(self) -> None:
        """Settle all outcomes so far; on a broker's failure keep them for the next time."""
        with self._jobs_ready:
            results, self._results = self._results, []
        if not results:
            return
        try:
            self._worker.settle(results)
        except BrokerError as error:
            log.error("%d outcomes wait to be settled: %s", len(results), error)
            with self._jobs_ready:
                self._results = results + self._results
            return
        with self._jobs_ready:
            for result in results:
                self._leases.drop(result.job.delivery)

    def _give_back(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        with self._jobs_ready:
            for job in jobs:
                self._leases.drop(job.delivery)
        try:
            self._broker.give_back([job.delivery for job in jobs])
            log.info("gave back %d messages", len(jobs))
        except BrokerError as error:
            log.error("%d messages return when their lease ends: %s", len(jobs), error)

    # ---- the keeper: leases, time limits, outcomes nobody settled ----------------------------
    def _keep(self) -> None:
        while True:
            with self._keeper_due:
                while not self._leases and not self._closed:
                    self._clock.wait(self._keeper_due, None)
                if self._closed:
                    return
                short = self._jobs and self._pace <= SHORT
                self._clock.wait(self._keeper_due, HELP_AFTER if short else SETTLE_WITHIN)
                if self._closed:
                    return
                now = self._clock.now()
                if self._idle and (self._jobs or not self._leading):
                    self._jobs_ready.notify()  # slots are free while a slow handler runs
                late = bool(self._results) and self._results_since + SETTLE_WITHIN <= now
                unstarted: list[Job] = []
                if self._jobs and self._received_at + HOLD_UNSTARTED <= now:
                    unstarted, self._jobs = list(self._jobs), deque()
                extend = self._leases.due(now)
                overdue = [
                    running
                    for running in self._running.values()
                    if running.deadline is not None and running.deadline <= now
                ]
            self._give_back(unstarted)
            if late:
                self._flush()
            if extend:
                self._extend(extend)
            for running in overdue:
                self._expire(running, now)

    def _extend(self, due: list[tuple[Delivery, float]]) -> None:
        try:
            answers = self._broker.change_visibility(due)
        except BrokerError as error:
            log.error("%d leases could not be extended: %s", len(due), error)
            return
        with self._jobs_ready:
            lost = self._leases.lost(due, answers)
            settled = {id(result.job.delivery) for result in self._results}
            in_work = {id(running.job.delivery) for running in self._running.values()}
        for delivery in lost:
            if id(delivery) in in_work and id(delivery) not in settled:
                log.warning("event=%s queue=%s lost its lease", delivery.id, delivery.queue)

    def _expire(self, running: Running, now: float) -> None:
        if running.expired_at is None:
            running.expire(now)
        elif running.expired_at + GIVE_UP_AFTER <= now:
            with self._jobs_ready:
                if self._running.pop(id(running), None) is None:
                    return
                running.abandoned = True
                self._start_thread()
                delivery, subscription = running.job.delivery, running.job.subscription
                assert subscription is not None
                error = running.timeout()
                log.error(
                    "event=%s queue=%s handler=%s ignores its timeout; its thread is replaced",
                    delivery.id,
                    delivery.queue,
                    subscription.name,
                )
                outcome = decide(
                    error, delivery.receive_count, subscription.policy, self._broker.random
                )
                self._add_result(Result(running.job, outcome, now))
            self._flush()
