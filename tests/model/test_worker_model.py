"""Any sequence of a worker's steps, crashes, lost leases and clock jumps against a small model.

Two workers share a broker in memory. The model follows each event by id: it waits (live), it was
finished, or it is a dead letter; nothing else may become of it.
"""

import json
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from taskflow import Event, Registry, Reject, Retry, RetryPolicy, Worker, open_broker, publish
from taskflow import retry as outcomes
from taskflow.message import FAILURE, plain_text
from taskflow.testing import ManualClock
from taskflow.worker.job import Job
from taskflow.worker.outcomes import tell
from tests.model.examples import TIMES
from tests.taskflow.worker.hands import take

RETRIES = 2
VISIBILITY = 30.0
WINDOW = 1000.0
BACKOFF = 10.0
OUTCOMES = st.sampled_from([None, None, ValueError(), Retry(), Retry(5.0), Reject("no")])


@dataclass
class Entry:
    """A message that the queue holds. `runs` and `returns` count since it was published.

    `ahead`: it was received with others; `crowd`: so it was after it had lapsed once; `spoken`:
    whoever had it has said when it comes back.
    """

    visible_at: float
    receives: int = 0
    receipt: str | None = None
    runs: int = 0
    returns: int = 0
    ahead: bool = False
    crowd: bool = False
    spoken: bool = False
    forgiven: int = 0

    @property
    def lapsed(self) -> bool:
        return self.receipt is not None and not self.spoken

    @property
    def bystander(self) -> bool:
        return self.lapsed and self.ahead and not self.crowd

    @property
    def attempts(self) -> int:
        """How often it was started, as far as is known."""
        return self.receives - (self.lapsed and self.ahead)


class WorkerMachine(RuleBasedStateMachine):
    """One queue, one handler that does what the next rule says."""

    jobs: Bundle[Job] = Bundle("jobs")
    results: Bundle[Job] = Bundle("results")

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock(1_000_000.0)
        self.broker = open_broker("memory://", clock=self.clock, random=random.Random(1))
        registry = Registry()
        policy = RetryPolicy(retries=RETRIES, backoff=BACKOFF, factor=1, jitter=False)
        registry.subscribe(
            "made", queue="work", policy=policy, window=WINDOW, visibility_timeout=VISIBILITY
        )(self._handle)
        self.workers = [Worker(self.broker, registry=registry) for _ in range(2)]
        self.handled: list[tuple[str, int]] = []
        self.raises: Exception | None = None
        self.published: set[str] = set()
        self.live: dict[str, Entry] = {}
        self.dead: set[str] = set()
        self.finished: dict[str, float] = {}
        self.latest = self.clock.now()

    def _handle(self, event: Event[Any]) -> None:
        self.handled.append((event.id, event.attempt))
        if self.raises is not None:
            raise self.raises

    # ---- publishing -------------------------------------------------------------------------
    @rule(number=st.integers(0, 3))
    def publish(self, number: int) -> None:
        """An id again is one event while it is held, and within the window of its end."""
        id = f"e{number}"
        publish("made", number, id=id, broker=self.broker)
        self.published.add(id)
        self.live.setdefault(id, Entry(self.clock.now()))

    @rule()
    def redrive(self) -> None:
        assert self.broker.redrive("work-dlq") == len(self.dead)
        for id in self.dead:
            self.live[id] = Entry(self.clock.now())
        self.dead.clear()

    # ---- working ----------------------------------------------------------------------------
    @rule(target=jobs, number=st.integers(0, 1), limit=st.integers(1, 4))
    def take(self, number: int, limit: int) -> MultipleResults[Job]:
        return multiple(*self._take(number, limit))

    @rule(number=st.integers(0, 1), limit=st.integers(1, 4), raises=OUTCOMES)
    def step(self, number: int, limit: int, raises: Exception | None) -> None:
        """What happens when nothing goes wrong in between."""
        for job in self._take(number, limit):
            self._settle([self._execute(job, raises)])

    @rule(number=st.integers(0, 1), limit=st.integers(1, 4))
    def die_and_let_the_leases_end(self, number: int, limit: int) -> None:
        self._take(number, limit)
        self.jump(VISIBILITY)

    def _take(self, number: int, limit: int) -> list[Job]:
        now = self.clock.now()
        jobs = take(self.workers[number], limit)
        due = {id: entry for id, entry in self.live.items() if entry.visible_at <= now}
        worn = {id for id, entry in due.items() if entry.attempts > RETRIES}
        left = [entry for id, entry in due.items() if id not in worn]
        if jobs and jobs[0].delivery.suspect:
            assert len(jobs) == 1
            assert due[jobs[0].delivery.id].lapsed
        elif jobs and due[jobs[0].delivery.id].lapsed:
            assert 2 <= len(jobs) <= limit
            assert all(due[job.delivery.id].bystander for job in jobs)
        elif any(entry.lapsed for entry in left):
            assert 1 <= len(jobs) <= limit
            assert not any(due[job.delivery.id].lapsed for job in jobs)
        else:
            assert len(jobs) == min(limit, len(left))
        buried = {letter.id for letter in self.broker.peek("work-dlq", 1000)} - self.dead
        assert buried <= worn
        for id in worn:
            if not self.broker.peek("work", ids=[id]):  # buried, perhaps over an older letter
                del self.live[id]
                self.dead.add(id)
        for job in jobs:
            delivery = job.delivery
            assert delivery.id in due, "two leases alive, or one that is over came back"
            entry = due[delivery.id]
            entry.forgiven += entry.receives - entry.attempts
            entry.receives = entry.attempts + 1
            entry.crowd = len(jobs) > 1 and entry.lapsed
            entry.visible_at, entry.receipt = now + VISIBILITY, delivery.receipt
            entry.ahead, entry.spoken = len(jobs) > 1, False
            assert delivery.receive_count == entry.receives <= RETRIES + 1
            expires_at = self.finished.get(delivery.id, 0.0)
            if expires_at <= now:
                assert not job.duplicate
            elif expires_at > self.latest:  # else it may be forgotten: the clock was past it once
                assert job.duplicate
        return jobs

    @rule(target=results, job=consumes(jobs), raises=OUTCOMES)
    def execute(self, job: Job, raises: Exception | None) -> Job:
        return self._execute(job, raises)

    def _execute(self, job: Job, raises: Exception | None) -> Job:
        self.raises = raises
        before = len(self.handled)
        job.outcome, job.ended_at = self.workers[0].execute(job), self.clock.now()
        id, attempt = job.delivery.id, job.delivery.receive_count
        ran = self.handled[before:]
        assert ran == ([] if job.duplicate else [(id, attempt)])
        expected: type[Any]
        if job.duplicate or raises is None:
            expected = outcomes.Done
        elif attempt > RETRIES or isinstance(raises, Reject):
            expected = outcomes.Dead
        else:
            expected = outcomes.Retry
        assert isinstance(job.outcome, expected)
        entry = self._held(job)
        if entry is not None and ran:
            entry.runs += 1
            most = RETRIES + 1 + entry.returns + entry.forgiven
            assert entry.runs <= most, "more attempts than retries + 1"
        return job

    @rule(some=st.lists(consumes(results), min_size=1, max_size=3))
    def settle(self, some: list[Job]) -> None:
        """One call for several; what has lost its lease changes nothing."""
        self._settle(some)

    def _settle(self, some: list[Job]) -> None:
        now = self.clock.now()
        tell(self.broker, some, self.workers[0].retention)
        for result in some:
            entry, id = self._held(result), result.delivery.id
            match result.outcome:
                case _ if entry is None:
                    pass
                case outcomes.Done(duplicate=duplicate):
                    del self.live[id]
                    if not duplicate:
                        self.finished[id] = now + WINDOW
                case outcomes.Retry(after=after):
                    if entry.visible_at > now:  # else it is visible already
                        entry.visible_at, entry.spoken = now + after, True
                case outcomes.Dead():
                    del self.live[id]
                    self.dead.add(id)

    @rule(job=consumes(jobs))
    def crash_in_the_handler(self, job: Job) -> None:
        """Nobody will settle this."""

    @rule(result=consumes(results))
    def crash_before_the_ack(self, result: Job) -> None:
        """The handler has run, and nobody will know."""

    @rule(job=consumes(jobs))
    def give_back(self, job: Job) -> None:
        entry = self._held(job)
        assert self.broker.give_back([job.delivery]) == [entry is not None]
        if entry is not None:
            entry.receives -= 1
            entry.returns += 1
            entry.visible_at, entry.receipt = self.clock.now(), None

    @rule(job=jobs)
    def extend(self, job: Job) -> None:
        entry, now = self._held(job), self.clock.now()
        (ok,) = self.broker.extend([(job.delivery, VISIBILITY)])
        assert ok == (entry is not None and entry.visible_at > now)
        if ok:
            assert entry is not None
            entry.visible_at, entry.spoken = now + VISIBILITY, False

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.0, 1001.0, 3600.0, -1.0, -31.0, -1001.0]))
    def jump(self, seconds: float) -> None:
        """Forwards, leases end; backwards, everything takes longer and nothing is lost."""
        self.clock.set(self.clock.now() + seconds)
        self.latest = max(self.latest, self.clock.now())

    def _held(self, job: Job) -> Entry | None:
        """The entry whose lease this job still has, or had last."""
        entry = self.live.get(job.delivery.id)
        return entry if entry is not None and entry.receipt == job.delivery.receipt else None

    # ---- what always holds ------------------------------------------------------------------
    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "live"):
            return
        assert self.published == {*self.live, *self.finished, *self.dead}
        assert {found.id for found in self.broker.peek("work", 1000)} == set(self.live)
        counts, now = self.broker.counts("work"), self.clock.now()
        assert counts.visible == sum(entry.visible_at <= now for entry in self.live.values())
        assert counts.visible + counts.in_flight + counts.delayed == len(self.live)

    @invariant()
    def every_dead_letter_says_why(self) -> None:
        if not hasattr(self, "dead"):
            return
        letters = self.broker.peek("work-dlq", 1000)
        assert {letter.id for letter in letters} == self.dead
        for letter in letters:
            record = json.loads(plain_text(letter.attributes[FAILURE]))
            assert record["reason"]
            assert 1 <= record["attempts"] <= RETRIES + 1

    def teardown(self) -> None:
        if hasattr(self, "broker"):
            self.broker.close()


TestWorkerModel = WorkerMachine.TestCase
TestWorkerModel.settings = settings(max_examples=70 * TIMES, stateful_step_count=50, deadline=None)


class OrderMachine(RuleBasedStateMachine):
    """A FIFO queue: whatever happens, a message starts only when all before it in its group have
    been handled once, or are dead letters."""

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock(1_000_000.0)
        self.broker = open_broker("memory://", clock=self.clock, random=random.Random(1))
        registry = Registry()
        policy = RetryPolicy(retries=RETRIES, backoff=BACKOFF, factor=1, jitter=False)
        registry.subscribe(
            "made.fifo", queue="work.fifo", policy=policy, visibility_timeout=VISIBILITY
        )(self._handle)
        self.workers = [Worker(self.broker, registry=registry) for _ in range(2)]
        self.sent = 0
        self.waiting: dict[str, list[str]] = {"a": [], "b": []}
        self.outcomes: list[tuple[Exception | None, float]] = []
        self.disorder: list[str] = []

    def _handle(self, event: Event[Any]) -> None:
        assert event.group is not None
        waiting = self.waiting[event.group]
        dead = {letter.id for letter in self.broker.peek("work-dlq.fifo", 1000)}
        waiting[:] = [id for id in waiting if id not in dead]
        if event.id in waiting[1:]:  # raising here would be an attempt that failed
            self.disorder.append(f"{event.id} started before {waiting[0]} was handled")
        error, seconds = self.outcomes.pop() if self.outcomes else (None, 0.0)
        self.clock.advance(seconds)
        if error is not None:
            raise error
        if event.id in waiting:  # else it was handled once, and that was not recorded
            waiting.remove(event.id)

    @rule(group=st.sampled_from("ab"), count=st.integers(1, 4))
    def publish(self, group: str, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            id = f"{group}{self.sent}"
            publish("made.fifo", 0, id=id, group=group, broker=self.broker)
            self.waiting[group].append(id)

    @rule(
        number=st.integers(0, 1),
        limit=st.integers(1, 8),
        outcomes=st.lists(st.tuples(OUTCOMES, st.sampled_from([0.0, 0.0, 1.0, 31.0])), max_size=4),
    )
    def step(self, number: int, limit: int, outcomes: list[tuple[Exception | None, float]]) -> None:
        self.outcomes = outcomes
        self.workers[number].step(limit)

    @rule(number=st.integers(0, 1), limit=st.integers(1, 8))
    def take_and_die(self, number: int, limit: int) -> None:
        take(self.workers[number], limit)

    @rule()
    def redrive(self) -> None:
        letters = self.broker.peek("work-dlq.fifo", 1000)
        assert self.broker.redrive("work-dlq.fifo") == len(letters)
        for letter in letters:
            assert letter.group is not None
            waiting = self.waiting[letter.group]
            if letter.id in waiting:
                waiting.remove(letter.id)
            waiting.append(letter.id)

    @rule(seconds=st.sampled_from([1.0, 10.0, 31.0]))
    def jump(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def order_holds(self) -> None:
        assert not getattr(self, "disorder", [])

    def teardown(self) -> None:
        """Everything is handled in the end."""
        if not hasattr(self, "waiting"):
            return
        while (due := self.broker.next_due("work.fifo")) or self.broker.counts("work.fifo").visible:
            self.outcomes = []
            self.workers[0].drain()
            if due:
                self.clock.set(max(due, self.clock.now()))
        dead = {letter.id for letter in self.broker.peek("work-dlq.fifo", 1000)}
        assert {*self.waiting["a"], *self.waiting["b"]} <= dead
        self.broker.close()


TestOrderModel = OrderMachine.TestCase
TestOrderModel.settings = settings(max_examples=60 * TIMES, stateful_step_count=40, deadline=None)
