"""Where faults happen in a simulation, and to whom."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from taskflow.broker.change import Change
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.testing.simulation.script import Script
from taskflow.testing.simulation.simulated_worker import Crash, SimulatedWorker
from taskflow.worker.job import Job

SETTLING = ("delete", "change_visibility", "dead_letter")
SENDING = ("publish", "send")
LONGEST_DELAY = 60.0  # seconds that a message comes later
LONGEST_STEP = 5.0  # seconds that the clock is set by
MOST_STEPS = 5


class Hazards:
    """Asks the script at each place. A message meets one fault that costs an attempt, unless that
    would be its last: what survives one will survive them all."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._paid: set[tuple[str, str, str]] = set()
        self._steps = 0

    def may_cost(self, worker: SimulatedWorker) -> bool:
        """Whether its message has an attempt to spare."""
        job = worker.job
        return (
            job is not None
            and job.delivery.receive_count < job.policy.max_attempts
            and _key(job) not in self._paid
        )

    def _happens(self, kind: str, what: str, worker: SimulatedWorker) -> bool:
        """Whether a fault that costs an attempt happens to this one."""
        job = worker.job
        if job is None or not self.may_cost(worker):
            return False
        if not self.script.happens(kind, f"{what} of {job.handler}"):
            return False
        self._paid.add(_key(job))
        return True

    def crash(self, point: str, worker: SimulatedWorker, costs: bool = True) -> None:
        """The worker may die here."""
        what, job = f"crash {point}", worker.job
        if costs:
            dies = self._happens("crashes", what, worker)
        else:
            dies = job is not None and self.script.happens("crashes", f"{what} of {job.handler}")
        if dies:
            worker.dead = True
            raise Crash

    def stalls(self, point: str, worker: SimulatedWorker) -> bool:
        """Whether it stands still here, until somebody else has its message."""
        return self._happens("stalls", f"stall {point}", worker)

    def around(
        self, worker: SimulatedWorker, name: str, args: Sequence[Any], verb: Callable[[], Any]
    ) -> Any:
        """A call of the broker by a worker."""
        if worker.dead:
            raise Crash
        if worker.inside:
            return self._in_handler(worker, name, args, verb)
        if worker.ended and (name in SETTLING or (name == "apply" and _settles(args[0]))):
            self.crash("before the acknowledgement", worker)
            if self._happens("duplicates", "lost acknowledgement", worker):
                raise BrokerUnavailable("the acknowledgement was made to fail")
            answer = verb()
            self.crash("after the acknowledgement", worker, costs=False)
            return answer
        return verb()

    def _in_handler(
        self, worker: SimulatedWorker, name: str, args: Sequence[Any], verb: Callable[[], Any]
    ) -> Any:
        place = name
        if name == "apply":
            fenced = any(change.fence is not None for change in args[0])
            place = "checkpoint" if fenced else "change"
        elif name not in SENDING:
            return verb()
        self.crash(f"before a {place}", worker)
        if self._happens("errors", f"error before a {place}", worker):
            raise BrokerUnavailable(f"{name} was made to fail")
        answer = verb()
        self.crash(f"after a {place}", worker)
        if self._happens("errors", f"error after a {place}", worker):
            raise BrokerUnavailable(f"{name} was made to fail after it was done")
        return answer

    def delayed(self, where: str, messages: Sequence[Message]) -> Sequence[Message]:
        """Messages as they leave for a topic or queue: some come later."""
        return [self._delay(where, one) for one in messages]

    def _delay(self, where: str, message: Message) -> Message:
        what = f"delay to {where}"
        if message.group or message.deduplication_id or message.expires_at:
            return message  # their order, or their end, is promised
        if not self.script.happens("delays", what):
            return message
        share = self.script.amount(what)
        seconds = round(LONGEST_DELAY * share * share, 3)
        return msgspec.structs.replace(message, delay=(message.delay or 0.0) + seconds)

    def clock_step(self) -> float:
        """By how many seconds the clock is set now; mostly 0."""
        if self._steps >= MOST_STEPS or not self.script.happens("clock_steps", "clock step"):
            return 0.0
        self._steps += 1
        return round(LONGEST_STEP * (2 * self.script.amount("clock step") - 1), 3)


def _key(job: Job) -> tuple[str, str, str]:
    return job.delivery.queue, job.delivery.id, job.delivery.topic


def _settles(changes: Sequence[Change]) -> bool:
    return any(change.settlements for change in changes)
