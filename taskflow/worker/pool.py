"""Threads around a worker: concurrency, limits, and a graceful stop.

There is no dispatcher. A thread without work becomes the leader: it settles what has ended,
receives for all free threads, and starts on the first message itself while it wakes another for
the next. While handlers take less than a millisecond, threads only cost: one runs them one after
the other, and a receive brings as many as it will have started within 20 ms. What
turns out slower than that is spread over the threads, and what they cannot take is given back.
"""

import logging
import threading

from taskflow.retry import Outcome, decide
from taskflow.worker.bounds import read_bounds
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.job_settler import Settler
from taskflow.worker.observer import Calls, Observers
from taskflow.worker.orders import Told
from taskflow.worker.precedence import Precedence
from taskflow.worker.receiver import LONG_POLL, Receiver
from taskflow.worker.reporter import Reporter
from taskflow.worker.run_tally import Tally
from taskflow.worker.run_times import RunTimes, kind_of
from taskflow.worker.scaler import Scaler
from taskflow.worker.slots import ASYNC, SYNC, Slots
from taskflow.worker.timeouts import LoopThread, Running
from taskflow.worker.trouble_log import TroubleLog
from taskflow.worker.upkeep import Hooks, Upkeep
from taskflow.worker.worker import Worker

log = logging.getLogger("taskflow.worker")

STALLED_AFTER = 3 * LONG_POLL  # seconds without progress of a receive loop that has free slots


class Pool:
    """Threads that run a worker's handlers until `stop`.

    `concurrency`: `def` handlers at once; `async_concurrency`: `async def` handlers at once, on
    one event loop; `"2..32"` and `(2, 32)` are between 2 and 32, by what waits. `burst`: stop when
    nothing is due any more. `max_tasks` runs or `max_memory` bytes (resident, at its peak) stop the
    pool gracefully, as does, with `replaceable`, a handler that cannot be stopped; `recycled` then
    tells why.

    `stop` is graceful: nothing new is received, messages not yet started are given back, running
    handlers may finish within `grace` seconds, then they are given back too. `stop_now` does not
    wait. Giving back burns no attempt. Raises ValueError for a concurrency that is none.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        concurrency: int | str | tuple[int, int] = 8,
        async_concurrency: int | str | tuple[int, int] = 100,
        grace: float = 30.0,
        burst: bool = False,
        max_tasks: int | None = None,
        max_memory: int | None = None,
        replaceable: bool = False,
    ) -> None:
        bounds = {
            SYNC: read_bounds("concurrency", concurrency),
            ASYNC: read_bounds("async_concurrency", async_concurrency),
        }
        self._worker = worker
        self._broker = worker.broker
        self._clock = worker.broker.clock
        self._grace = grace
        self._burst = burst
        self._max_tasks = max_tasks
        self._replaceable = replaceable
        asynchronous = any(
            found.is_async for name in worker.queues for found in worker.registry.on(name)
        )
        self._kinds = (SYNC, ASYNC) if asynchronous else (SYNC,)
        self._slots = slots = Slots(worker.registry, {kind: bounds[kind].least for kind in bounds})
        tally, times = Tally(), RunTimes()
        told = (times,) if any(one.scales for one in bounds.values()) else ()
        self._observers = Observers((tally, TroubleLog(), *told, *worker.observers))
        self._inflight = Inflight(self._clock, self._observers, slots)
        self._settler = Settler(self._broker, self._inflight, worker.retention)
        self._scaler = Scaler(
            self._broker, worker.queues, self._inflight, slots, times, bounds, self._resized
        )
        self._most_threads = sum(bounds[kind].least for kind in self._kinds)
        precedence = Precedence(self._broker, worker.queues, self._ask_again)
        self._receiver = Receiver(
            worker,
            self._inflight,
            self._settler,
            slots,
            self.stop,
            precedence,
            burst=burst,
            most_threads=sum(bounds[kind].most for kind in self._kinds),
        )
        self._idle = 0
        self._threads = 0
        self._surplus = 0  # threads that are to end once they are idle
        self._stop_by: float | None = None
        self._loop_thread: LoopThread | None = None
        self.left_behind = False
        """After `run`: handlers that could not be stopped go on, until the process ends."""
        self._reporter = Reporter(
            worker,
            self._inflight,
            tally,
            slots,
            self._scaler,
            precedence,
            max_memory=max_memory,
            recycle=self._recycle,
            obey=self._obey,
        )
        self.recycled: str | None = None

    @property
    def threads(self) -> int:
        """How many run handlers, lead, or wait for work."""
        return self._threads

    def sizes(self) -> dict[str, tuple[int, int]]:
        """By kind (threads, coroutines): how many run something, and how many may."""
        with self._inflight.lock:
            kinds = [kind_of(job) for job in self._inflight.running]
            return {kind: (kinds.count(kind), self._slots.most(kind)) for kind in self._kinds}

    # ---- from outside -----------------------------------------------------------------------
    def run(self) -> None:
        """Work until `stop`; returns when every message is settled or given back."""
        self._loop_thread = LoopThread(self._clock)
        self._announce(self._observers.worker_started)
        hooks = Hooks(self._help, self._replace, self._reporter.beat, self._scaler.look)
        upkeep = Upkeep(self._inflight, self._settler, self._broker, hooks)
        upkeep.start()
        self._reporter.ticker.start()
        with self._inflight.lock:
            for _ in range(self._slots.most(SYNC)):
                self._start_thread()
        self._wait_for_end()
        with self._inflight.lock:
            self.left_behind = bool(self._threads)
        if self.left_behind:
            self._broker.hurry()  # the grace is over: wait for no lock of another process
        self._settler.give_back(self._inflight.return_all(), "the worker stops")
        self._reporter.ticker.close()
        upkeep.close()
        if not self._loop_thread.close():
            self.left_behind = True
        self._settler.flush()
        self._reporter.retire()
        self._announce(self._observers.worker_stopped)

    def stop(self) -> None:
        """Stop gracefully. Thread-safe, idempotent, returns at once."""
        self._begin_stop(self._clock.elapsed() + self._grace)

    def stop_now(self) -> None:
        """Stop without waiting for running handlers. Thread-safe, idempotent."""
        self._begin_stop(self._clock.elapsed())
        self._broker.hurry()

    def drain(self) -> None:
        """Stop, and let what runs take its time; a `stop` after that sets an end to it.
        Thread-safe, idempotent, returns at once."""
        self._begin_stop(None)

    def pause(self, paused: bool = True) -> None:
        """Receive nothing new, and finish what is held, until it is resumed. Thread-safe."""
        with self._inflight.lock:
            self._receiver.paused = paused
        self._ask_again()

    def grace_left(self) -> float:
        """Seconds of the grace that are left; all of it before `stop`."""
        if self._stop_by is None:
            return self._grace
        return max(0.0, self._stop_by - self._clock.elapsed())

    def problems(self) -> tuple[list[str], list[str]]:
        """Why the pool is not alive, and why it is not ready for work; empty when it is."""
        with self._inflight.lock:
            dead, unready = [], []
            silent = self._clock.elapsed() - self._receiver.progress_at
            if len(self._inflight.running) < self._slots.most(SYNC) and silent > STALLED_AFTER:
                dead.append(f"the receive loop made no progress for {silent:.0f} s")
            if self._loop_thread is None:
                unready.append("starting")
            elif self._threads == 0 and not self._receiver.stopping:
                dead.append("no thread is running")
            elif (owed := self._loop_thread.silent_for()) > STALLED_AFTER:
                dead.append(f"the event loop has not turned for {owed:.0f} s: a handler blocks it")
            if self._receiver.stopping:
                unready.append("stopping")
            if self._receiver.outage_wait:
                unready.append("the broker cannot be used")
            return dead, dead + unready

    def _obey(self, told: Told) -> None:
        log.info("told to %s", told or "go on")
        if told == "drain":
            self.drain()
        else:
            self.pause(told == "pause")

    def _begin_stop(self, by: float | None) -> None:
        with self._inflight.lock:
            if not self._receiver.stopping:
                self._announce(self._observers.worker_stopping)
            self._receiver.stopping = True
            if by is not None:
                self._stop_by = by if self._stop_by is None else min(by, self._stop_by)
            self._inflight.jobs_ready.notify_all()
            self._inflight.ended.notify_all()
        self._broker.wake()

    def _recycle(self, why: str) -> None:
        if self.recycled is None and not self._receiver.stopping:
            self.recycled = why
            log.info("making room for a new process: %s", why)
            self.stop()

    def _wait_for_end(self) -> None:
        with self._inflight.ended:
            while self._threads:
                left = None
                if self._stop_by is not None:
                    left = self._stop_by - self._clock.elapsed()
                    if left <= 0:
                        return
                self._clock.wait(self._inflight.ended, left)

    # ---- threads ----------------------------------------------------------------------------
    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="taskflow-worker", daemon=True).start()

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                outcome = self._execute(job)
                if not self._inflight.end(job, outcome, self._clock.now()):
                    return  # given up on: another thread has this place
                self._after_run()
        finally:
            with self._inflight.lock:
                self._threads -= 1
                self._inflight.ended.notify_all()

    def _execute(self, job: Job) -> Outcome:
        """`execute` never raises; should it, the message must not stay held by a dead thread."""
        assert job.running is not None
        try:
            return self._worker.execute(job, job.running.invoke)
        except BaseException as error:
            log.exception("event=%s could not be run", job.delivery.id)
            return decide(error, job.delivery.receive_count, job.policy, self._broker.random)

    def _after_run(self) -> None:
        ends_burst = self._burst and not self._inflight.ready  # perhaps: else others come by
        if self._receiver.stopping or ends_burst:
            self._settler.flush()
        elif self._receiver.polling:
            self._settler.flush_full()  # no leader comes by soon
        if self._receiver.limited or ends_burst:
            self._ask_again()
        if self._max_tasks is not None and self._inflight.finished >= self._max_tasks:
            self._recycle(f"{self._inflight.finished} runs")

    def _next(self) -> Job | None:
        """The next job for this thread, leading if need be; None to stop."""
        inflight = self._inflight
        with inflight.lock:
            if inflight.ready and inflight.is_busy() and not self._receiver.stopping:
                inflight.upkeep_due.notify()  # should that one be slow after all
                self._idle += 1
                self._clock.wait(inflight.jobs_ready, None)
                self._idle -= 1
        while True:
            with inflight.lock:
                while not inflight.ready and self._receiver.leading and not self._receiver.stopping:
                    if self._surplus:
                        self._surplus -= 1
                        return None
                    self._idle += 1
                    self._clock.wait(inflight.jobs_ready, None)
                    self._idle -= 1
                if self._receiver.stopping:
                    return None
                if (job := inflight.start()) is not None:
                    assert self._loop_thread is not None
                    limit = job.entry.timeout if job.entry else None
                    job.running = Running(limit, self._loop_thread, job.started)
                    self._call_others()
                    return job
                self._receiver.leading = True
            self._receiver.lead()

    def _call_others(self) -> None:
        """Wake (or start) another thread when there is work for it. The lock is held."""
        slow = not self._inflight.pace.is_short  # else whoever is done soon goes on by itself
        if self._inflight.ready:
            wanted = slow
        else:
            wanted = not self._receiver.leading and (self._receiver.drained or slow)
        if wanted:
            if self._idle:
                self._inflight.jobs_ready.notify()
            elif self._threads < self._most_threads:
                self._start_thread()

    def _help(self) -> None:
        inflight = self._inflight
        waits = not (inflight.is_busy() if inflight.ready else self._receiver.leading)
        if self._idle and waits:
            inflight.jobs_ready.notify()

    def _replace(self) -> None:
        with self._inflight.lock:
            self._start_thread()
        self._ask_again()
        if self._replaceable:
            self._recycle("a handler cannot be stopped")

    def _resized(self) -> None:
        """There are more slots, or fewer: threads begin or end, and the leader asks for as many."""
        with self._inflight.lock:
            if self._receiver.stopping:
                return
            self._most_threads = sum(self._slots.most(kind) for kind in self._kinds)
            self._surplus = max(0, self._threads - self._most_threads)
            if not self._idle and self._threads < self._most_threads:
                self._start_thread()  # which leads, and calls others
        self._ask_again()

    def _ask_again(self) -> None:
        """More may be received than when the leader asked last."""
        with self._inflight.lock:
            self._receiver.room_made = True
            self._inflight.jobs_ready.notify_all()
        self._broker.wake()

    def _announce(self, calls: Calls) -> None:
        with self._inflight.lock:
            for tell in calls:
                tell()
