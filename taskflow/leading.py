"""What the leader of a pool does: settle what has ended, and receive for all free threads."""

import logging

from taskflow.board import Board
from taskflow.broker import Broker
from taskflow.clock import Clock
from taskflow.errors import BrokerError, QueueNotFound, TopicNotFound
from taskflow.worker import Worker

log = logging.getLogger("taskflow.worker")

LONG_POLL = 20.0
SHORT = 0.001  # handlers faster than this (on average) run in one thread
MOST_PREFETCHED = 100  # messages
FIRST_OUTAGE_WAIT, LAST_OUTAGE_WAIT = 0.5, 30.0


class Leading:
    """A part of Pool. One thread at a time leads; the rest is guarded by the board's lock."""

    _worker: Worker
    _broker: Broker
    _clock: Clock
    _board: Board
    _burst: bool
    _most_threads: int
    _leading: bool
    _polling: bool
    """The leader waits for messages, and comes by to settle no sooner."""
    _drained: bool
    """The last receive brought less than was asked for."""
    _gated: bool
    """A gate kept a queue from being asked, or let less through."""
    _gate_opened: bool
    _held_back: bool
    _stopping: bool
    _outage_wait: float
    _progress_at: float

    def stop(self) -> None:
        """What Pool does when a burst has ended."""
        raise NotImplementedError

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
        except (QueueNotFound, TopicNotFound) as error:
            self._ride_out(str(error))
            self._declare_anew()
        except BrokerError as error:
            self._ride_out(str(error))
        except Exception:
            log.exception("receiving failed")
            self._ride_out("see above")
        finally:
            with board.lock:
                self._leading = self._polling = False
                self._progress_at = self._clock.elapsed()
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
        jobs = self._worker.take(
            limit,
            wait,
            lambda: self._stopping or self._gate_opened,
            queues,
            self._board.holding(),
        )
        self._board.add(jobs)  # from here on they have an owner, whatever fails
        with self._board.lock:
            self._drained = len(jobs) < limit
        try:
            self._board.gates.spend(jobs)
        except BrokerError as error:  # what is owed is paid before anything more is asked for
            log.debug("not paid yet: %s", error)
        return bool(jobs)

    def _declare_anew(self) -> None:
        """A queue is gone: deleted, or the broker's file is another one."""
        try:
            self._worker.declare()
            log.info("declared topics and queues anew")
        except BrokerError as error:
            log.error("queues cannot be declared anew: %s", error)

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
            self._gated = any(room <= 0 for room in rooms.values()) or board.suspects > 0
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
        until = self._clock.elapsed() + self._broker.random.uniform(longest / 2, longest)
        with self._board.lock:
            while not self._stopping and (left := until - self._clock.elapsed()) > 0:
                self._clock.wait(self._board.jobs_ready, left)
