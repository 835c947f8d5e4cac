"""Any interleaving of receives, runs, settling, faults, lost leases, stops, crashes, clock steps.

Two workers' tables over one broker in memory, on a manual clock, without threads. A standard queue
and a FIFO queue; the handler does what the next rule says.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskflow import Event, Registry, Reject, RetryPolicy, Worker, open_broker, publish
from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.message import FAILURE, plain_text
from taskflow.testing import ManualClock
from taskflow.testing.faults import FaultBroker, When
from taskflow.worker.job import Job, State
from taskflow.worker.observer import Observer
from taskflow.worker.slots import SYNC, Slots
from tests.taskflow.worker.hands import Hands

RETRIES = 2
VISIBILITY = 30.0
QUEUES = ("work", "work.fifo")
LETTERS = {"work": "work-dlq", "work.fifo": "work-dlq.fifo"}
WORKER = st.integers(0, 1)
MORE = st.integers(1, 4)
RAISES = st.sampled_from([None, None, None, ValueError, Reject])
WHEN: st.SearchStrategy[When | None] = st.sampled_from([None, None, "before", "after"])
ERRORS = st.sampled_from([BrokerUnavailable("away"), BrokerError("odd")])
SETTLING = st.sampled_from(["delete", "change_visibility", "dead_letter", "give_back"])


class Ends(Observer):
    """Which jobs the table has let go of, each once."""

    def __init__(self) -> None:
        self.ends: dict[Job, str] = {}
        self.settled_ids: set[str] = set()
        self.held: set[Job] = set()

    def received(self, job: Job) -> None:
        self.held.add(job)

    def _end(self, job: Job, how: str) -> None:
        assert job not in self.ends, f"{job} ended twice"
        self.ends[job] = how
        self.held.discard(job)

    def settled(self, job: Job) -> None:
        self._end(job, "settled")
        if type(job.outcome).__name__ == "Done":
            self.settled_ids.add(job.delivery.id)

    def given_back(self, job: Job) -> None:
        self._end(job, "given back")

    def refused(self, job: Job, error: Exception | None) -> None:
        self._end(job, "refused")

    def left(self, job: Job) -> None:
        self._end(job, "left")


class InflightMachine(RuleBasedStateMachine):
    """See above. What always holds is at the end."""

    @initialize()
    def open(self) -> None:
        self.clock = ManualClock(1_000_000.0)
        self.real = open_broker("memory://", clock=self.clock, random=random.Random(1))
        self.faulty = FaultBroker(self.real)
        self.registry = Registry()
        policy = RetryPolicy(retries=RETRIES, backoff=10.0, factor=1, jitter=False)
        for topic, queue in (("made", "work"), ("made.fifo", "work.fifo")):
            self.registry.subscribe(
                topic, queue=queue, policy=policy, visibility_timeout=VISIBILITY, window=1e6
            )(self._handle)
        self.ends = Ends()
        broker: Any = self.faulty
        self.worker = Worker(broker, registry=self.registry, observers=[self.ends])
        self.hands = [self._new(), self._new()]
        self.raises: type[Exception] | None = None
        self.published: dict[str, str] = {}  # id -> queue
        self.attempts: list[int] = []
        self.starts: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        for fifo in (False, True):
            self.publish(fifo, "a", 3)
        self.forgiven: Counter[str] = Counter()

    def _new(self) -> Hands:
        return Hands(self.worker, Slots(self.registry, {SYNC: 4}))

    def _handle(self, event: Event[Any]) -> None:
        self.attempts.append(event.attempt)  # raising here would be an attempt that failed
        if self.raises is not None:
            raise self.raises("no")

    @contextmanager
    def _failing(self, verb: str, when: When | None, error: Exception) -> Iterator[None]:
        if when is not None:
            self.faulty.fail(verb, self.faulty.calls[verb] + 1, when, error)
        yield
        self.faulty.heal()

    # ---- rules ------------------------------------------------------------------------------
    @rule(fifo=st.booleans(), group=st.sampled_from("ab"), count=st.integers(1, 3))
    def publish(self, fifo: bool, group: str, count: int) -> None:
        for _ in range(count):
            queue = QUEUES[fifo]
            id = f"{group}{len(self.published)}"
            topic, name = ("made.fifo", group) if fifo else ("made", None)
            publish(topic, 0, id=id, group=name, broker=self.real)
            self.published[id] = queue
            self.stored[queue] += 1

    @precondition(lambda self: self.ends.settled_ids)
    @rule(picks=st.randoms())
    def publish_again(self, picks: random.Random) -> None:
        """What was finished: it is acknowledged, and does not run."""
        id = picks.choice(sorted(self.ends.settled_ids))
        queue = self.published[id]
        if not self.real.peek(queue, ids=[id]):
            topic, name = ("made.fifo", id[0]) if queue == "work.fifo" else ("made", None)
            publish(topic, 0, id=id, group=name, broker=self.real)
            self.stored[queue] += len(self.real.peek(queue, ids=[id]))

    @rule(who=WORKER, limit=st.integers(1, 6), more=MORE)
    def receive(self, who: int, limit: int, more: int) -> None:
        self.hands[who].take(limit)
        self._start(who, more)

    @rule(
        who=WORKER,
        verb=st.sampled_from(["receive", "claim", "give_back"]),
        when=st.sampled_from(["before", "after"]),
        error=ERRORS,
    )
    def fail_to_receive(self, who: int, verb: str, when: When, error: Exception) -> None:
        with self._failing(verb, when, error), suppress(BrokerError):
            self.hands[who].take(4)
        self._forgive()  # they may be lent, and the answer was lost

    @precondition(lambda self: self._any("ready"))
    @rule(who=WORKER, more=MORE)
    def start(self, who: int, more: int) -> None:
        self._start(who, more)

    def _start(self, who: int, most: int) -> None:
        inflight = self.hands[who].inflight
        for _ in range(most):
            job = inflight.start()
            if job is None:
                return
            id, queue, group = job.delivery.id, job.delivery.queue, job.delivery.group
            assert job.delivery.visible_at > self.clock.now(), "no live lease"
            (held,) = self.real.peek(queue, ids=[id])
            assert held.visible_at == job.delivery.visible_at, "somebody else's"
            assert job.duplicate or id not in self.ends.settled_ids, "a finished event runs again"
            self.starts[id] += 1
            if queue == "work.fifo":
                running = [one.delivery.group for one in inflight.running]
                assert running.count(group) == 1, "two of a group"

    @precondition(lambda self: self._any("running"))
    @rule(who=WORKER, raises=RAISES, more=MORE, picks=st.randoms())
    def end(
        self, who: int, raises: type[Exception] | None, more: int, picks: random.Random
    ) -> None:
        inflight = self.hands[who].inflight
        self.raises = raises
        for _ in range(min(more, len(inflight.running))):
            job = picks.choice(list(inflight.running))
            assert inflight.end(job, self.worker.execute(job), self.clock.now())

    @precondition(lambda self: self._any("outcomes") or self._any("returned"))
    @rule(who=WORKER, verb=SETTLING, when=WHEN, error=ERRORS)
    def flush(self, who: int, verb: str, when: When | None, error: Exception) -> None:
        with self._failing(verb, when, error):
            self.hands[who].settler.flush()

    @rule(who=WORKER, raises=RAISES, when=WHEN, error=ERRORS)
    def run(
        self, who: int, raises: type[Exception] | None, when: When | None, error: Exception
    ) -> None:
        """What comes is run, and told."""
        verb = "dead_letter" if raises is Reject else "change_visibility" if raises else "delete"
        hands = self.hands[who]
        hands.take(4)
        self.raises = raises
        self._start(who, 3)
        for job in list(hands.inflight.running):
            assert hands.inflight.end(job, self.worker.execute(job), self.clock.now())
        with self._failing(verb, when, error):
            hands.settler.flush()

    @rule(who=WORKER, when=WHEN, error=ERRORS, hold=st.booleans())
    def keep_up(self, who: int, when: When | None, error: Exception, hold: bool) -> None:
        """Extend leases; give back what no thread took."""
        hands = self.hands[who]
        with self._failing("extend", when, error):
            hands.settler.extend()
        if not hold:
            hands.settler.give_back(hands.inflight.return_ready(), "no thread is free for them")

    @precondition(lambda self: self._any("running"))
    @rule(who=WORKER, when=WHEN, error=ERRORS, crash=st.booleans())
    def leave(self, who: int, when: When | None, error: Exception, crash: bool) -> None:
        """A crash; or a stop, as of a pool whose grace is over."""
        hands = self.hands[who]
        if not crash:
            with self._failing("give_back", when, error):
                hands.settler.give_back(hands.inflight.return_all(), "the worker stops")
                hands.settler.flush()
            inflight = hands.inflight
            assert len(inflight) == len(inflight.outcomes) + len(inflight.returned)
        self._forgive()
        self.hands[who] = self._new()

    def _any(self, what: str) -> bool:
        return any(getattr(hands.inflight, what) for hands in self.hands)

    def _forgive(self) -> None:
        """Whoever holds what now may be lost with it: that may cost one attempt of each."""
        self.forgiven.update(list(self.published))

    @rule(seconds=st.sampled_from([1.0, 10.0, 16.0, 16.0, 31.0]))
    def step(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if seconds > VISIBILITY / 2:
            self._forgive()

    # ---- what always holds ------------------------------------------------------------------
    @invariant()
    def each_job_is_in_one_place(self) -> None:
        for hands in getattr(self, "hands", []):
            hands.inflight.check()
        if hasattr(self, "ends"):
            assert not any(job.state is State.TELLING for job in self.ends.held), "told by nobody"

    @invariant()
    def no_attempt_is_one_too_many(self) -> None:
        assert max(getattr(self, "attempts", []), default=0) <= RETRIES + 1

    @invariant()
    def each_message_is_in_one_place(self) -> None:
        if not hasattr(self, "published"):
            return
        for queue in QUEUES:
            live = {found.id for found in self.real.peek(queue, 1000)}
            dead = {found.id for found in self.real.peek(LETTERS[queue], 1000)}
            assert not live & dead
            handled = self.real.counts(queue).handled
            assert len(live) + len(dead) + handled == self.stored[queue], (
                "one is lost, or counted twice"
            )

    def teardown(self) -> None:
        """Whoever comes after them does what is left."""
        if not hasattr(self, "published"):
            return
        self.raises = None
        worker = Worker(self.real, registry=self.registry)
        for _ in range(100):
            worker.drain()
            due = self.real.next_due(*QUEUES)
            if due is None:
                break
            self.clock.set(max(due, self.clock.now()))
        for queue in QUEUES:
            assert self.real.peek(queue) == [], "something is left"
            for letter in self.real.peek(LETTERS[queue], 1000):
                record = json.loads(plain_text(letter.attributes[FAILURE]))
                assert record["reason"]
                # Who was lent it alone, and was not heard of again, may have begun with it.
                assert self.starts[letter.id] or self.forgiven[letter.id] > RETRIES, (
                    "dead without a run"
                )
        self.real.close()
