"""The worker: receive, execute, settle. Without threads here; `pool` adds them."""

from collections.abc import Iterable, Mapping, Sequence

from taskflow.broker import Broker
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.message import new_id
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.retry import Dead, Done, Outcome
from taskflow.sealing.sealed_broker import sealed
from taskflow.telemetry.logs import log_runs
from taskflow.topology import declare
from taskflow.worker.execute import Invoke, execute, invoke
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.job_intake import Intake
from taskflow.worker.job_settler import Settler
from taskflow.worker.observer import Observer, Observers
from taskflow.worker.ticker import summon
from taskflow.worker.trouble_log import TroubleLog


class Worker:
    """Runs the handlers of some queues (all queues of the registry by default).

    A mapping gives queues weights: one of weight 6 is asked first six times as often as one of
    weight 1. `strict`: always in the order given, a later queue only when the earlier are empty.
    `observers` are told of each step of each message (taskflow.worker.observer).
    Declares topics, queues and schedules when it is made. Raises QueueNotFound for a queue without
    a handler, QueueExists when the broker's queues disagree with the subscriptions.
    """

    def __init__(
        self,
        broker: Broker,
        queues: str | Iterable[str] | Mapping[str, float] = (),
        *,
        strict: bool = False,
        registry: Registry = default_registry,
        middleware: Sequence[Middleware] = (),
        observers: Sequence[Observer] = (),
    ) -> None:
        if isinstance(queues, str):
            queues = (queues,)
        broker = self.broker = sealed(broker, registry.codec)
        self.registry = registry
        self.observers = tuple(observers)
        self._told = Observers((TroubleLog(), *observers))
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
        self._id = new_id(broker.clock.now(), broker.random)
        self.settler: Settler | None = None
        """Who tells the broker of what this `turn` holds."""
        self._idle: tuple[Inflight, Settler, Intake] | None = None
        self.declare()

    def declare(self) -> None:
        """Declare topics, queues and schedules. Once is enough, unless the broker's file is
        another one."""
        declare(self.broker, self.registry)
        for tender in self.registry.tenders:
            tender.declare(self.broker, self.queues)
        self._retention = {name: self.broker.settings(name).retention for name in self.queues}

    def queue_order(self) -> list[str]:
        """The order in which to ask the queues this time."""
        if self._strict or len(self.queues) == 1:
            return list(self.queues)
        draw = self.broker.random.random
        return sorted(
            self.queues, key=lambda name: draw() ** (1 / self._weights[name]), reverse=True
        )

    def retention(self, queue: str) -> float:
        """How long (seconds) this queue of the worker keeps a message."""
        return self._retention[queue]

    def execute(self, job: Job, invoke: Invoke = invoke) -> Outcome:
        """Run one job to its outcome; never raises, whatever the handler does."""
        return execute(
            job,
            clock=self.broker.clock,
            random=self.broker.random,
            middleware=self._middleware,
            invoke=invoke,
            broker=self.broker,
        )

    def tend(self) -> float | None:
        """Do what is due by itself, which no message brings; answers when something will be, None
        for never. (A pool has a thread for that.)"""
        if not self.broker.features.runs:
            return None
        if not self.registry.tenders and not summon(self.broker, self.registry):
            return None
        found = [tender.tend(self.broker, self._id) for tender in self.registry.tenders]
        return min((due for due in found if due is not None), default=None)

    def step(self, limit: int = 10, wait: float = 0.0) -> list[Job]:
        """What is due by itself, then one `turn`. Raises BrokerError, as both do."""
        self.tend()
        return self.turn(limit, wait)

    def turn(self, limit: int = 10, wait: float = 0.0) -> list[Job]:
        """One receive; run and settle what came, in this thread, one after the other. Answers what
        has run.

        Messages of a FIFO queue whose group cannot go on, since an earlier one is to be tried
        again, are given back; what lost its lease before it could start is left alone. Raises
        BrokerError; what has not run then is given back.
        """
        broker = self.broker
        table, self._idle = self._idle or self._table(), None  # a handler may call this, too
        inflight, settler, intake = table
        self.settler = settler
        intake.take(self.queue_order(), limit, wait)
        jobs = []
        try:
            while (job := inflight.start()) is not None:
                inflight.end(job, self.execute(job), broker.clock.now())
                if (error := settler.flush()) is not None:
                    raise error
                jobs.append(job)
        finally:
            if inflight:
                settler.give_back(inflight.return_all(), "the step has ended")
        if not inflight:  # else what it holds is nobody's to settle
            self._idle = table
        return jobs

    def _table(self) -> tuple[Inflight, Settler, Intake]:
        """What is in flight, and who sees to it."""
        inflight = Inflight(self.broker.clock, self._told, goes_on=(Done, Dead))
        settler = Settler(self.broker, inflight, self.retention)
        return inflight, settler, Intake(self.broker, self.registry, inflight, settler)

    def drain(self) -> list[Job]:
        """`step` until nothing is visible; answers what has run."""
        jobs: list[Job] = []
        while more := self.step(limit=1):
            jobs += more
        return jobs
