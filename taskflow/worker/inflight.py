"""The table of the messages that a worker holds: one state each, and the steps between the states.

Pure: no broker, no handler. `Settler` and `Intake` do what the steps call for.

    received ─▶ waiting ─▶ ready ─▶ running ─▶ ended ─▶ telling ─▶ gone
       └───────────┴─────────┴─────────┴─▶ returned ──────┘
"""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from taskflow.broker.settings import Holding, Limit
from taskflow.clock import Clock
from taskflow.retry import Done, Outcome
from taskflow.worker.job import Job, State
from taskflow.worker.lineup import Lineup
from taskflow.worker.observer import Calls, Observers
from taskflow.worker.run_pace import RunPace
from taskflow.worker.slots import Slots

SOON = 0.005  # seconds after which who runs something short should have come for the next
RECEIVED, WAITING, READY, RUNNING, ENDED, RETURNED, TELLING, GONE = State


class Inflight:
    """Thread-safe. `jobs_ready` wakes threads, `upkeep_due` the upkeep, `ended` who waits for
    the end; all three share `lock`.

    `slots` counts what takes one; without it there is room for any number. `goes_on`: after which
    outcomes the next of a group may start.
    """

    def __init__(
        self,
        clock: Clock,
        observers: Observers,
        slots: Slots | None = None,
        goes_on: tuple[type[Outcome], ...] = (Done,),
    ) -> None:
        self._clock = clock
        self._goes_on = goes_on
        self.observers = observers
        self.lock = threading.RLock()
        self.jobs_ready = threading.Condition(self.lock)
        self.upkeep_due = threading.Condition(self.lock)
        self.ended = threading.Condition(self.lock)
        self._held: dict[Job, None] = {}
        self._lineup = Lineup(slots)
        self.ready: Collection[Job] = self._lineup.ready
        self.running: dict[Job, None] = {}
        self.outcomes: list[Job] = []
        self.returned: dict[Job, None] = {}
        self._telling = 0
        self._lost = 0
        self.untold_since = 0.0
        """Since when (the clock's `elapsed`) something is to be told; later than now: not before
        then, since the broker fails."""
        self.placed_at = 0.0
        self.upkeep_rests = False
        """The upkeep sleeps until something is received; else it looks again soon by itself, and
        waking it for each batch would cost more than a tenth of a drain."""
        self.pace = RunPace()
        self.finished = 0
        self.suspects = 0  # held and not ended; nothing that lapsed is received meanwhile

    # ---- in -----------------------------------------------------------------------------------
    def receive(self, jobs: Sequence[Job]) -> None:
        """Hold what was received: its leases are kept from now on."""
        with self.lock:
            now, calls = self._clock.now(), self.observers.received
            if jobs and self.upkeep_rests:
                self.upkeep_due.notify()
            for job in jobs:
                self._held[job] = None
                job.lease = max(1.0, job.delivery.visible_at - now)
                self.suspects += job.delivery.suspect
                for tell in calls:
                    tell(job)

    def place(self, jobs: Sequence[Job]) -> list[Job]:
        """Received ones may run here. What waits for its group takes no slot. Those whose slot was
        taken since they were asked for are returned, and answered."""
        with self.lock:
            self.placed_at = self._clock.now()
            denied: list[Job] = []
            for job in jobs:
                if job.state is not RECEIVED:
                    continue  # given back meanwhile: the worker stops
                if self._lineup.denies(job, denied):
                    denied.append(job)
                else:
                    job.state = READY if self._lineup.enter(job) else WAITING
            return self._return(denied)

    def leave(self, jobs: Sequence[Job]) -> None:
        """Received ones run elsewhere already, and are left to whoever runs them."""
        with self.lock:
            for job in jobs:
                if job.state is not RECEIVED:
                    continue
                self.suspects -= job.delivery.suspect
                for tell in self.observers.left:
                    tell(job)
                self._forget(job)

    # ---- running ------------------------------------------------------------------------------
    def start(self) -> Job | None:
        """The next job whose lease is alive begins; lapsed ones belong to somebody else by now."""
        with self.lock:
            now, ready = self._clock.now(), self._lineup.ready
            while ready:
                job = ready.popleft()
                if job.lease and job.delivery.visible_at > now:
                    job.state = RUNNING
                    job.started = self._clock.elapsed()
                    self.running[job] = None
                    for tell in self.observers.started:
                        tell(job)
                    return job
                self._return(self._lineup.leave(job))
                self.suspects -= job.delivery.suspect
                self._lose(job)
                self._forget(job)
            return None

    def end(self, job: Job, outcome: Outcome, at: float) -> bool:
        """A run has ended, at `at` (epoch seconds). False when it had been given up: the table
        goes by what was said then."""
        with self.lock:
            if job.state is not RUNNING:
                return False
            now = self._clock.elapsed()
            beside = 0
            if len(self.running) > 1 and _is_in_thread(job):
                beside = sum(map(_is_in_thread, self.running)) - 1
            self.pace.note(job.started, now, beside)
            self._end(job, outcome, at, max(0.0, now - job.started))
            return True

    def is_busy(self) -> bool:
        """Whether a thread runs something short, and will soon come for the next."""
        with self.lock:
            if not self.running or not self.pace.is_short:
                return False
            since = self._clock.elapsed() - SOON
            return any(job.started > since and _is_in_thread(job) for job in self.running)

    def give_up(self, job: Job, outcome: Outcome, at: float) -> bool:
        """Wait for a run no longer; False when it has just ended by itself."""
        with self.lock:
            if job.state is not RUNNING:
                return False
            if job.running is not None:
                job.running.give_up()
            self._end(job, outcome, at, self._clock.elapsed() - job.started)
            return True

    def _end(self, job: Job, outcome: Outcome, at: float, seconds: float) -> None:
        del self.running[job]
        self._note_untold()
        job.state, job.outcome, job.ended_at = ENDED, outcome, at
        job.running = None
        self.outcomes.append(job)
        self.suspects -= job.delivery.suspect
        self.finished += 1
        if job.delivery.group is None:
            self._lineup.free(job)
        elif isinstance(outcome, self._goes_on):
            following, behind = self._lineup.follow(job)
            if following is not None:
                following.state = READY
            self._return(behind)
        else:
            self._return(self._lineup.leave(job))
        for tell in self.observers.ended:
            tell(job, seconds)

    # ---- coming back --------------------------------------------------------------------------
    def return_received(self, jobs: Iterable[Job]) -> list[Job]:
        """Received ones will not run here; answers them."""
        with self.lock:
            return self._return([job for job in jobs if job.state is RECEIVED])

    def return_ready(self) -> list[Job]:
        """No thread will begin those that one could have, nor what waits for them; answers them."""
        with self.lock:
            return self._return(self._lineup.take_ready())

    def return_unstarted(self) -> list[Job]:
        """No thread will begin any more; answers all that have not begun."""
        with self.lock:
            return self.return_ready() + self._return(self._lineup.take_waiting())

    def return_all(self) -> list[Job]:
        """Nobody waits for what runs any more, either; answers all that have no outcome."""
        with self.lock:
            runs = list(self.running)
            self.running.clear()
            for job in runs:
                if job.running is not None:
                    job.running.give_up()
                self._lineup.free(job)
            self._return(runs)
            received = [job for job in self._held if job.state is RECEIVED]
            return runs + self._return(received) + self.return_unstarted()

    def _return(self, jobs: list[Job]) -> list[Job]:
        if jobs:
            self._note_untold()
        for job in jobs:
            job.state = RETURNED
            self.returned[job] = None
        return jobs

    # ---- leases -------------------------------------------------------------------------------
    def due(self) -> list[Job]:
        """What to extend now, by its `lease`: at half its time."""
        with self.lock:
            now = self._clock.now()
            return [
                job
                for job in self._held
                if job.lease
                and job.delivery.visible_at - job.lease / 2 <= now
                and job.state is not TELLING
            ]

    def extended(self, jobs: Sequence[Job], answers: Sequence[bool]) -> list[Job]:
        """The broker has extended them, or refused: then the lease is lost, and a handler may know
        (`ctx.lease_lost`). What waits behind a lost one is returned, and answered."""
        behind = []
        with self.lock:
            for job, ok in zip(jobs, answers, strict=True):
                if job.state in (TELLING, GONE):
                    continue  # given back meanwhile
                if ok:
                    for tell in self.observers.extended:
                        tell(job)
                else:
                    behind += self._lineup.recall(job)
                    self._lose(job)
            return self._return(behind)

    def _lose(self, job: Job) -> None:
        if job.lease:
            job.lease = 0.0
            job.delivery.lost = True
            self._lost += 1
            for tell in self.observers.lost:
                tell(job)

    # ---- out ----------------------------------------------------------------------------------
    def tell_ended(self, most: int | None = None) -> tuple[list[Job], list[Job]]:
        """The broker is about to be told these outcomes, the first ones or all; and what it is to
        have back after that."""
        with self.lock:
            chosen = self.outcomes[:most]
            del self.outcomes[:most]
            for job in chosen:
                job.state = TELLING
            self._telling += len(chosen)
            if self.outcomes:
                self.untold_since = self._clock.elapsed()
            return chosen, list(self.returned)

    def tell_returned(self, jobs: Sequence[Job]) -> list[Job]:
        """The broker is about to have these back: those of them that nobody else is giving."""
        with self.lock:
            chosen = [job for job in jobs if job.state is RETURNED]
            for job in chosen:
                job.state = TELLING
                del self.returned[job]
                self.suspects -= job.delivery.suspect
            self._telling += len(chosen)
            return chosen

    def settled(self, jobs: Sequence[Job]) -> None:
        """The broker knows their outcomes."""
        self._told(jobs, self.observers.settled)

    def given_back(self, jobs: Sequence[Job]) -> None:
        """The broker has them back."""
        self._told(jobs, self.observers.given_back)

    def refused(self, jobs: Sequence[Job], error: Exception | None = None) -> None:
        """The broker will not be told: they come back when their leases end, or are lost."""
        self._told(jobs, self.observers.refused, error)

    def _told(self, jobs: Sequence[Job], calls: Calls, *more: Exception | None) -> None:
        with self.lock:
            self._telling -= len(jobs)
            for job in jobs:
                assert job.state is TELLING, job
                for tell in calls:
                    tell(job, *more)
                job.state = GONE
                del self._held[job]
                if not job.lease:
                    self._lost -= 1

    def postpone(self, jobs: Sequence[Job], error: Exception, seconds: float) -> None:
        """The broker cannot be used: tell it again, first of all, in so many seconds."""
        with self.lock:
            self._telling -= len(jobs)
            ended = [job for job in jobs if job.has_outcome]
            for job in ended:
                job.state = ENDED
            self.outcomes[:0] = ended
            for job in self._return([job for job in jobs if not job.has_outcome]):
                self.suspects += job.delivery.suspect
            self.untold_since = self._clock.elapsed() + seconds
            for job in jobs:
                for tell in self.observers.postponed:
                    tell(job, error)

    def _forget(self, job: Job) -> None:
        job.state = GONE
        del self._held[job]
        self._lost -= not job.lease

    def _note_untold(self) -> None:
        if not self.outcomes and not self.returned:
            self.untold_since = self._clock.elapsed()

    # ---- looking ------------------------------------------------------------------------------
    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    def holding(self, limits: Mapping[str, Limit]) -> Holding:
        """What is held, for a receive that heeds these limits."""
        with self.lock:
            return Holding(len(self._held) - self._lost - self._telling, self.suspects, limits)

    def check(self) -> None:
        """Raises AssertionError unless every job is where its state says, and nowhere else."""
        with self.lock:
            waiting = self._lineup.waiting()
            places: tuple[tuple[State, Collection[Job]], ...] = (
                (WAITING, waiting),
                (READY, self.ready),
                (RUNNING, self.running),
                (ENDED, self.outcomes),
                (RETURNED, self.returned),
            )
            for state, place in places:
                held = [job for job in self._held if job.state is state]
                assert sorted(map(id, held)) == sorted(map(id, place)), (state, held, place)
            assert not any(job.state is GONE for job in self._held)
            assert self._telling == sum(job.state is TELLING for job in self._held)
            assert self._lost == sum(not job.lease for job in self._held)
            unsettled = [job for job in self._held if job.state not in (ENDED, TELLING)]
            assert self.suspects == sum(job.delivery.suspect for job in unsettled)


def _is_in_thread(job: Job) -> bool:
    """Whether a thread is what it takes: of a coroutine's it only waits."""
    return job.entry is None or not job.entry.is_async
