"""Threads around a worker: concurrency, limits, and a graceful stop.

There is no dispatcher. A thread without work becomes the leader: it settles what has ended,
receives for all free threads, and starts on the first message itself while it wakes another for
the next. While handlers take less than a millisecond, threads only cost: one runs them one after
the other, and a receive brings as many as it will have started within 20 ms. What
turns out slower than that is spread over the threads, and what they cannot take is given back.
"""

import logging
import threading

from taskflow.board import Board
from taskflow.errors import BrokerError
from taskflow.gates import ASYNC, SYNC, Gates
from taskflow.health import peak_memory
from taskflow.keeper import Hooks, Keeper
from taskflow.message import new_id
from taskflow.retry import decide
from taskflow.running import LoopThread, Running
from taskflow.worker import Result, Worker

log = logging.getLogger("taskflow.worker")

LONG_POLL = 20.0
SHORT = 0.001  # handlers faster than this (on average) run in one thread
MOST_PREFETCHED = 100  # messages
FIRST_OUTAGE_WAIT, LAST_OUTAGE_WAIT = 0.5, 30.0
STALLED_AFTER = 3 * LONG_POLL  # seconds without progress of a receive loop that has free slots


class Pool:
    """Threads that run a worker's handlers until `stop`.

    `concurrency`: `def` handlers at once; `async_concurrency`: `async def` handlers at once, on
    one event loop. `burst`: stop when nothing is due any more. `max_tasks` runs or `max_memory`
    bytes (resident, at its peak) stop the pool gracefully, as does, with `replaceable`, a handler
    that cannot be stopped; `recycled` then tells why.

    `stop` is graceful: nothing new is received, messages not yet started are given back, running
    handlers may finish within `grace` seconds, then they are given back too. `stop_now` does not
    wait. Giving back burns no attempt.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        concurrency: int = 8,
        async_concurrency: int = 100,
        grace: float = 30.0,
        burst: bool = False,
        max_tasks: int | None = None,
        max_memory: int | None = None,
        replaceable: bool = False,
    ) -> None:
        if concurrency < 1 or async_concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}, {async_concurrency}; 1 or more")
        self._worker = worker
        self._broker = worker.broker
        self._clock = worker.broker.clock
        self._concurrency = concurrency
        self._grace = grace
        self._burst = burst
        self._max_tasks = max_tasks
        self._max_memory = max_memory
        self._replaceable = replaceable
        asynchronous = any(
            found.signature.is_async for name in worker.queues for found in worker.registry.on(name)
        )
        slots = {SYNC: concurrency, ASYNC: async_concurrency}
        self._board = Board(worker, Gates(self._broker, worker.registry, slots))
        self._most_threads = concurrency + (async_concurrency if asynchronous else 0)
        self._leading = False
        self._polling = False
        self._drained = True
        self._gated = False
        self._gate_opened = False
        self._held_back = False
        self._idle = 0
        self._threads = 0
        self._stopping = False
        self._stop_by: float | None = None
        self._outage_wait = 0.0
        self._progress_at = self._started_at = self._clock.now()
        self._loop_thread: LoopThread | None = None
        self._id = new_id(self._started_at, self._broker.random)
        self.recycled: str | None = None

    # ---- from outside -----------------------------------------------------------------------
    def run(self) -> None:
        """Work until `stop`; returns when every message is settled or given back."""
        self._loop_thread = LoopThread()
        hooks = Hooks(self._help, self._replace, self._beat)
        keeper = Keeper(self._board, self._broker, SHORT, hooks)
        keeper.start()
        with self._board.lock:
            for _ in range(self._concurrency):
                self._start_thread()
        self._wait_for_end()
        self._board.give_back(self._board.take_all(), "the worker stops")
        keeper.close()
        self._loop_thread.close()
        self._board.flush()
        try:
            self._broker.retire(self._id)
        except BrokerError as error:
            log.debug("not retired: %s", error)

    def stop(self) -> None:
        """Stop gracefully. Thread-safe, idempotent, returns at once."""
        self._begin_stop(self._clock.now() + self._grace)

    def stop_now(self) -> None:
        """Stop without waiting for running handlers. Thread-safe, idempotent."""
        self._begin_stop(self._clock.now())

    def problems(self) -> tuple[list[str], list[str]]:
        """Why the pool is not alive, and why it is not ready for work; empty when it is."""
        with self._board.lock:
            dead, unready = [], []
            silent = self._clock.now() - self._progress_at
            if len(self._board.running) < self._concurrency and silent > STALLED_AFTER:
                dead.append(f"the receive loop made no progress for {silent:.0f} s")
            if self._loop_thread is None:
                unready.append("starting")
            elif self._threads == 0 and not self._stopping:
                dead.append("no thread is running")
            if self._stopping:
                unready.append("stopping")
            if self._outage_wait:
                unready.append("the broker cannot be used")
            return dead, dead + unready

    def _begin_stop(self, by: float) -> None:
        with self._board.lock:
            self._stopping = True
            self._stop_by = by if self._stop_by is None else min(by, self._stop_by)
            self._board.jobs_ready.notify_all()
            self._board.ended.notify_all()
        self._broker.wake()

    def _recycle(self, why: str) -> None:
        if self.recycled is None and not self._stopping:
            self.recycled = why
            log.info("making room for a new process: %s", why)
            self.stop()

    def _wait_for_end(self) -> None:
        with self._board.ended:
            while self._threads:
                left = None
                if self._stop_by is not None:
                    left = self._stop_by - self._clock.now()
                    if left <= 0:
                        return
                self._clock.wait(self._board.ended, left)

    # ---- threads ----------------------------------------------------------------------------
    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name="taskflow-worker", daemon=True).start()

    def _work(self) -> None:
        try:
            while (running := self._next()) is not None:
                result = self._execute(running)
                if not self._board.end(running, result):
                    return  # given up on: another thread has this place
                self._after_run()
        finally:
            with self._board.lock:
                self._threads -= 1
                self._board.ended.notify_all()

    def _execute(self, running: Running) -> Result:
        """`execute` never raises; should it, the message must not stay held by a dead thread."""
        job = running.job
        try:
            return self._worker.execute(job, running.invoke)
        except BaseException as error:
            log.exception("event=%s could not be run", job.delivery.id)
            outcome = decide(error, job.delivery.receive_count, job.policy, self._broker.random)
            return Result(job, outcome, self._clock.now())

    def _after_run(self) -> None:
        if self._stopping or self._burst:
            self._board.flush()
        elif self._polling:
            self._board.flush_full()  # no leader comes by soon
        if self._gated or self._burst:
            with self._board.lock:
                self._gate_opened = True
                self._board.jobs_ready.notify_all()
            self._broker.wake()
        if self._max_tasks is not None and self._board.finished >= self._max_tasks:
            self._recycle(f"{self._board.finished} runs")

    def _next(self) -> Running | None:
        """The next run for this thread, leading if need be; None to stop."""
        board = self._board
        while True:
            with board.lock:
                while not board.jobs and self._leading and not self._stopping:
                    self._idle += 1
                    self._clock.wait(board.jobs_ready, None)
                    self._idle -= 1
                if self._stopping:
                    return None
                if (job := board.pop()) is not None:
                    assert self._loop_thread is not None
                    running = Running(job, self._loop_thread.loop, self._clock.now())
                    board.running[id(running)] = running
                    self._call_others()
                    return running
                self._leading = True
            self._lead()

    def _call_others(self) -> None:
        """Wake (or start) another thread when there is work for it. The lock is held."""
        slow = self._board.pace > SHORT  # else whoever is done soon goes on by itself
        waiting = bool(self._board.jobs) and slow
        leaderless = not (self._board.jobs or self._leading) and (self._drained or slow)
        if waiting or leaderless:
            if self._idle:
                self._board.jobs_ready.notify()
            elif self._threads < self._most_threads:
                self._start_thread()

    def _help(self) -> None:
        if self._idle and (self._board.jobs or not self._leading):
            self._board.jobs_ready.notify()

    def _replace(self, running: Running) -> None:
        with self._board.lock:
            self._start_thread()
        if self._replaceable:
            self._recycle("a handler cannot be stopped")

    # ---- leading ----------------------------------------------------------------------------
    def _lead(self) -> None:
        """Settle, then receive as many as can be started; with nothing there, wait for it."""
        board = self._board
        try:
            board.flush_full()
            # Where calls cost, one that waits does both.
            looks = self._burst or self._broker.economy.batch == 1
            if not (looks and self._receive(0.0)) and not self._stopping:
                with board.lock:
                    self._polling = True
                board.flush_full()
                if self._burst:
                    self._end_burst()
                else:
                    self._receive(LONG_POLL)
            self._outage_wait = 0.0
        except BrokerError as error:
            self._ride_out(str(error))
        except Exception:
            log.exception("receiving failed")
            self._ride_out("see above")
        finally:
            with board.lock:
                self._leading = self._polling = False
                self._progress_at = self._clock.now()
        if self._stopping:
            board.give_back(board.take_unstarted(), "the worker stops")

    def _receive(self, wait: float) -> bool:
        """Receive from the queues whose gates are open; whether anything came."""
        queues, limit, opens_in = self._open_queues()
        wait = min(wait, opens_in)
        if not queues:
            with self._board.lock:
                if not self._gate_opened and not self._stopping:
                    self._clock.wait(self._board.jobs_ready, wait)
            return False
        jobs = self._worker.take(limit, wait, lambda: self._stopping or self._gate_opened, queues)
        self._board.gates.spend(jobs)
        self._board.add(jobs)
        with self._board.lock:
            self._drained = len(jobs) < limit
        return bool(jobs)

    def _open_queues(self) -> tuple[list[str], int, float]:
        """The queues to ask now, for how many messages, and when a closed gate opens by itself."""
        board = self._board
        names = self._worker.queue_order()
        with board.lock:
            prefetched = 0
            economy = self._broker.economy
            if board.pace <= SHORT or economy.batch > 1:
                prefetched = min(MOST_PREFETCHED, int(economy.prefetch / board.pace))
            rooms = {name: board.gates.room(name, prefetched) for name in names}
            self._gate_opened = False
            self._gated = any(room <= 0 for room in rooms.values())
        self._held_back = self._gated
        queues, limit, opens_in = [], MOST_PREFETCHED + self._most_threads, LONG_POLL
        for name in names:
            if rooms[name] <= 0:
                continue
            allowed, seconds = board.gates.allowed(name)
            if allowed == 0:
                opens_in = min(opens_in, max(0.001, seconds))
                self._held_back = True
                continue
            queues.append(name)
            limit = min(limit, rooms[name], limit if allowed is None else allowed)
        if limit > economy.batch:  # no call is worth making for the few beyond
            limit -= limit % economy.batch
        return queues, limit, opens_in

    def _end_burst(self) -> None:
        """Nothing is due: stop, unless a gate holds something back or a running handler may
        still publish something."""
        if self._held_back:
            self._receive(LONG_POLL)
            return
        with self._board.lock:
            if self._board.running or self._board.jobs:
                self._clock.wait(self._board.jobs_ready, 1.0)
                return
        self._board.flush()  # then what has just ended keeps nothing back
        if not self._receive(0.0) and not self._held_back:
            self.stop()

    def _ride_out(self, error: str) -> None:
        """Wait, longer each time, while the broker cannot be used; say so once."""
        if not self._outage_wait:
            log.error("the broker cannot be used, will keep trying: %s", error)
        longest = max(FIRST_OUTAGE_WAIT, min(LAST_OUTAGE_WAIT, self._outage_wait * 2))
        self._outage_wait = longest
        until = self._clock.now() + self._broker.random.uniform(longest / 2, longest)
        with self._board.lock:
            while not self._stopping and (left := until - self._clock.now()) > 0:
                self._clock.wait(self._board.jobs_ready, left)

    # ---- reporting --------------------------------------------------------------------------
    def _beat(self) -> None:
        if self._max_memory is not None and peak_memory() > self._max_memory:
            self._recycle(f"{peak_memory() // 2**20} MiB of memory")
        self._broker.report(self._board.report(self._id, self._started_at, self._concurrency))
