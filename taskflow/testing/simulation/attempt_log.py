"""What happened in a simulation: attempts, faults, and what of it is to fail the test."""

from taskflow.retry import Dead, Outcome
from taskflow.testing.simulation.attempt import Attempt, Befallen, attempt_of
from taskflow.testing.simulation.simulated_clock import SimulatedClock
from taskflow.worker.job import Job


class AttemptLog:
    """Of one simulation. Not thread-safe."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.attempts: list[Attempt] = []
        self.happened: list[Attempt | Befallen] = []
        """The attempts, and the faults between them."""
        self.failure: BaseException | None = None
        """What is to fail the test."""
        self.expected: tuple[type[BaseException], ...] = ()
        """Errors that may end in the dead letters without failing it."""

    def attempted(self, worker: str, job: Job, at: float, outcome: Outcome | None) -> None:
        """A handler that began then has ended; None: its worker has died."""
        one = attempt_of(job, worker, at, self._clock.now(), outcome)
        self.attempts.append(one)
        self.happened.append(one)
        error = None if outcome is None else outcome.error
        fails = isinstance(outcome, Dead) or isinstance(error, AssertionError)
        if error is not None and fails and not isinstance(error, self.expected):
            self.failure = self.failure or error

    def befell(self, what: str) -> None:
        """A fault has happened."""
        self.happened.append(Befallen(self._clock.now(), what))

    def take_failure(self) -> BaseException | None:
        """What is to fail the test, once."""
        failure, self.failure = self.failure, None
        return failure
