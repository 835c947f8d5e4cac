"""What the leader of a pool does: settle what has ended, and receive for all free threads."""

import logging
from collections.abc import Callable

from taskflow.errors import BrokerError, QueueNotFound, TopicNotFound
from taskflow.worker.flow_control import FlowControl
from taskflow.worker.inflight import Inflight
from taskflow.worker.job_intake import Intake
from taskflow.worker.job_settler import Settler
from taskflow.worker.precedence import Precedence
from taskflow.worker.slots import Slots
from taskflow.worker.worker import Worker

log = logging.getLogger("taskflow.worker")

LONG_POLL = 20.0
MOST_PREFETCHED = 100  # messages
FIRST_OUTAGE_WAIT, LAST_OUTAGE_WAIT = 0.5, 30.0


class Receiver:
    """Leads: one thread of the pool at a time calls `lead`. The state is guarded by the lock of
    `inflight`. `stop` is called when a burst has ended.
    """

    def __init__(
        self,
        worker: Worker,
        inflight: Inflight,
        settler: Settler,
        slots: Slots,
        stop: Callable[[], None],
        precedence: Precedence,
        *,
        burst: bool,
        most_threads: int,
    ) -> None:
        self._worker = worker
        self._broker = worker.broker
        self._clock = worker.broker.clock
        self._inflight = inflight
        self._settler = settler
        self._intake = Intake(worker.broker, worker.registry, inflight, settler)
        self._flow = FlowControl(worker.broker, worker.registry)
        self._slots = slots
        self._stop = stop
        self._precedence = precedence
        self._burst = burst
        self._most_threads = most_threads
        self.stopping = False
        """Nothing is received any more."""
        self.paused = False
        """Nothing is received for the time being."""
        self.leading = False
        """A thread leads."""
        self.polling = False
        """The leader waits for messages, and comes by to settle no sooner."""
        self.drained = True
        """The last receive brought less than was asked for."""
        self.limited = False
        """A limit kept a queue from being asked, or let less through."""
        self.room_made = False
        """What was limited then may be asked again."""
        self.outage_wait = 0.0
        """Seconds that were waited last for a broker that cannot be used; 0 when it can."""
        self.progress_at = self._clock.elapsed()
        self._held_back = False

    def lead(self) -> None:
        """Settle, then receive as many as can be started; with nothing there, wait for it."""
        inflight = self._inflight
        try:
            self._settler.flush_full()
            # Where calls cost, one that waits does both.
            looks = self._burst or self._broker.economy.batch == 1
            if not (looks and self._receive(0.0)) and not self.stopping:
                with inflight.lock:
                    self.polling = True
                self._settler.flush_full()
                if self._burst:
                    self._end_burst()
                else:
                    self._receive(LONG_POLL)
            self.outage_wait = 0.0
        except (QueueNotFound, TopicNotFound) as error:
            self._ride_out(str(error))
            self._declare_anew()
        except BrokerError as error:
            self._ride_out(str(error))
        except Exception:
            log.exception("receiving failed")
            self._ride_out("see above")
        finally:
            with inflight.lock:
                self.leading = self.polling = False
                self.progress_at = self._clock.elapsed()
        if self.stopping:
            self._settler.give_back(inflight.return_unstarted(), "the worker stops")

    def _receive(self, wait: float) -> bool:
        """Receive from the queues that flow control lets through; whether anything came."""
        queues, limit, opens_in = self._open_queues()
        wait = min(wait, opens_in)
        if not queues:
            with self._inflight.lock:
                if not self.room_made and not self.stopping:
                    self._clock.wait(self._inflight.jobs_ready, wait)
            return False
        jobs = self._intake.take(queues, limit, wait, lambda: self.stopping or self.room_made)
        with self._inflight.lock:
            self.drained = len(jobs) < limit
        try:
            self._flow.spend(jobs)
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
        """The queues to ask now, for how many messages, and when a closed one opens by itself."""
        inflight = self._inflight
        names = self._worker.queue_order()
        with inflight.lock:
            prefetched = 0
            economy = self._broker.economy
            if inflight.pace.is_short or economy.batch > 1:
                prefetched = min(MOST_PREFETCHED, int(economy.prefetch / inflight.pace.seconds))
            rooms = {name: self._slots.room(name, prefetched) for name in names}
            self.room_made = False
            self.limited = any(room <= 0 for room in rooms.values()) or inflight.suspects > 0
            paused = self.paused
        left = self._precedence.seconds()  # after `room_made`, which says that it is over
        self._held_back = self.limited or paused or left > 0
        queues, limit, opens_in = [], MOST_PREFETCHED + self._most_threads, left or LONG_POLL
        for name in () if paused or left else names:
            if rooms[name] <= 0:
                continue
            allowed, seconds = self._flow.allowed(name)
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
        """Nothing is due: stop, unless a limit holds something back or a running handler may
        still publish something."""
        if self._held_back:
            self._receive(LONG_POLL)
            return
        with self._inflight.lock:
            if self._inflight.running or self._inflight.ready:
                self._clock.wait(self._inflight.jobs_ready, 1.0)
                return
        self._settler.flush()  # then what has just ended keeps nothing back
        if not self._receive(0.0) and not self._held_back:
            self._stop()

    def _ride_out(self, error: str) -> None:
        """Wait, longer each time, while the broker cannot be used; say so once."""
        if not self.outage_wait:
            log.error("the broker cannot be used, will keep trying: %s", error)
        longest = max(FIRST_OUTAGE_WAIT, min(LAST_OUTAGE_WAIT, self.outage_wait * 2))
        self.outage_wait = longest
        until = self._clock.elapsed() + self._broker.random.uniform(longest / 2, longest)
        with self._inflight.lock:
            while not self.stopping and (left := until - self._clock.elapsed()) > 0:
                self._clock.wait(self._inflight.jobs_ready, left)
