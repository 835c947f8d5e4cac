"""What a worker's metrics say of the broker: what waits, which schedules are late, workflows."""

import logging
import threading
from collections.abc import Callable, Sequence

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.errors import BrokerError
from taskflow.scheduling.stored import SCHEDULE
from taskflow.tasks.run import RUN
from taskflow.tasks.workflow_names import noted_workflows
from taskflow.telemetry.family import Family, Sample

log = logging.getLogger("taskflow.worker")

LOOK_EVERY = 10.0  # seconds; however many ask, the broker is asked no more often
LATE = 30.0  # seconds after which a schedule is late: workers look at least every 10
MOST = 100_000  # messages of a queue that are counted
PAGE = 1000  # schedules that are late, at most


class BrokerLook:
    """Thread-safe. `mean` answers the seconds that a message of a queue takes here, 0 if none has
    been run. A broker that cannot be used is told by `taskflow_broker_up`, and nothing else is."""

    def __init__(self, broker: Broker, queues: Sequence[str], mean: Callable[[str], float]) -> None:
        self._broker = broker
        self._queues = queues
        self._mean = mean
        self._lock = threading.Lock()
        self._looked_at: float | None = None
        self._found: list[Family] = []

    def families(self) -> list[Family]:
        """What the last look found; a new one when that is old."""
        every = max(LOOK_EVERY, self._broker.economy.look_every)
        with self._lock:
            now = self._broker.clock.elapsed()
            if self._looked_at is None or now - self._looked_at >= every:
                self._looked_at = now
                self._found = self._look()
            return self._found

    def _look(self) -> list[Family]:
        try:
            found = [*self._waiting(), *self._runs()]
        except BrokerError as error:
            log.debug("no metrics of the broker: %s", error)
            found = []
        up = [Sample({}, 1 if found else 0)]
        return [_shared("taskflow_broker_up", "1 when the broker could be asked.", up), *found]

    def _waiting(self) -> list[Family]:
        waiting = {name: self._broker.waiting(name, MOST) for name in self._queues}
        means = {name: self._mean(name) for name in waiting}
        return [
            _shared(
                "taskflow_queue_waiting_messages",
                f"Messages that may be received now, counted up to {MOST}.",
                [Sample({"queue": name}, count) for name, count in waiting.items()],
            ),
            # Not the same for all: each process goes by how long its own runs took.
            Family(
                "taskflow_queue_backlog_seconds",
                "gauge",
                "Seconds of one slot that what waits will take, by the runs of this process.",
                [
                    Sample({"queue": name}, count * means[name])
                    for name, count in waiting.items()
                    if means[name] or not count
                ],
            ),
        ]

    def _runs(self) -> list[Family]:
        if not self._broker.features.runs:
            return []
        now = self._broker.clock.now()
        due = self._broker.list_records(
            RecordQuery(kind=SCHEDULE, states=("active",), due_by=now, order="due", limit=PAGE)
        ).records
        times = [record.due_at for record in due if record.due_at is not None]
        states = {
            # A series that begins at 1 has not risen, for Prometheus: nobody would be told.
            name: {"failed": 0, **self._broker.count_records(RUN, name)}
            for name in noted_workflows(self._broker)
        }
        return [
            _shared(
                "taskflow_schedules_late",
                f"Schedules due for more than {LATE:g} seconds, counted up to {PAGE}.",
                [Sample({}, sum(at < now - LATE for at in times))],
            ),
            _shared(
                "taskflow_schedule_lateness_seconds",
                "Seconds since the schedule was due that has been due longest, 0 for none.",
                [Sample({}, max((now - at for at in times), default=0.0))],
            ),
            _shared(
                "taskflow_workflow_runs",
                "Runs of workflows that are kept, by their state.",
                [
                    Sample({"workflow": name, "state": state}, count)
                    for name, found in states.items()
                    for state, count in sorted(found.items())
                ],
            ),
        ]


def _shared(name: str, help: str, samples: Sequence[Sample]) -> Family:
    return Family(name, "gauge", help, samples, shared=True)
