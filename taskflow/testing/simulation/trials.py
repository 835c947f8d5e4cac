"""A test that is run again and again: at each crash point, or under many seeds of faults."""

import functools
import inspect
import unittest
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from taskflow.testing.simulation.fault_rates import CHAOS
from taskflow.testing.simulation.shrinking import shortest
from taskflow.testing.simulation.trial import Trial, current_trial, on_trial

P = ParamSpec("P")
R = TypeVar("R")
MOST_POINTS = 1000
TRIALS = "taskflow_trials"
"""The attribute of a test that says how it is to be tried."""


class Failure(NamedTuple):
    """A run that failed: in what way (runs that fail alike have the same), and what tells it."""

    kind: str
    told: Any


Run = Callable[[Trial], Failure | None]
"""Runs a test once, afresh; answers how it failed."""


class Finding(NamedTuple):
    """How a test failed, in which trial, and what is to be told of that."""

    failure: Failure
    trial: Trial
    text: str


class Trials(Protocol):
    """How a test is to be tried."""

    def search(self, run: Run) -> Finding | None:
        """Run it until it fails."""
        ...


class CrashMatrix:
    """Once as it is; then once for each point where a worker can die, which it does there."""

    def search(self, run: Run) -> Finding | None:
        """As Trials."""
        clean = Trial(0)
        if (failure := run(clean)) is not None:
            return Finding(failure, clean, f"without any fault\n{clean.history()}")
        points = clean.crash_points
        if not clean.sims:
            return Finding(_refused("no simulation: make a Sim in it"), clean, "")
        if len(points) > MOST_POINTS:
            text = f"{len(points)} crash points; {MOST_POINTS} are tried at most: make it smaller"
            return Finding(_refused(text), clean, text)
        for number, point in enumerate(points, 1):
            trial = Trial(0, only=[point])
            if (failure := run(trial)) is not None:
                text = f"at crash point {number} of {len(points)}:\n  {point}\n{trial.history()}"
                return Finding(failure, trial, text)
        return None


class Chaos:
    """Once for each seed, under the faults that it draws; the first failure is made short."""

    def __init__(self, seeds: Sequence[int | str]) -> None:
        self._seeds = seeds

    def search(self, run: Run) -> Finding | None:
        """As Trials."""
        for seed in self._seeds:
            trial = Trial(seed, CHAOS)
            if (failure := run(trial)) is not None:
                return self._shortest(run, failure, trial)
        return None

    def _shortest(self, run: Run, failure: Failure, trial: Trial) -> Finding:
        found = {"best": (failure, trial)}

        def fails(faults: Sequence[str]) -> Sequence[str] | None:
            again = Trial(trial.seed, only=faults)
            failed = run(again)
            if failed is None or failed.kind != failure.kind:
                return None
            found["best"] = failed, again
            return again.fired

        total = len(trial.fired)
        faults = shortest(trial.fired, fails)
        failure, trial = found["best"]
        enough = "it fails without any" if not faults else f"of which {len(faults)} will do:"
        lines = [f"seed {trial.seed}: {total} faults, {enough}", *(f"  {one}" for one in faults)]
        return Finding(failure, trial, "\n".join([*lines, trial.history()]))


def _refused(why: str) -> Failure:
    return Failure("refused", AssertionError(why))


def crash_matrix(test: Callable[P, R]) -> Callable[P, R]:
    """Run a test once as it is, and once for each point where a worker of its simulation could die:
    before the handler, before and after each of its calls of the broker and each checkpoint, at
    each `sim.point`, before and after the acknowledgement. In each run one worker dies once.

    With pytest each run has fixtures of its own. Elsewhere the function itself is called again (of
    a unittest.TestCase after `tearDown` and `setUp`), so it makes what it needs. A message with no
    attempt left is spared: of `retries=0` a crash makes a dead letter by right.
    """
    return _tried(test, CrashMatrix())


def chaos(*, runs: int = 20, seed: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a test so many times under random faults, of the seeds from `seed` on; a failure is told
    with its seed, and the fewest of its faults that were found to do. Otherwise as `crash_matrix`.
    Raises ValueError for no runs."""
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        raise ValueError(f"chaos(runs={runs!r}): a number of runs, 1 or more")
    return lambda test: _tried(test, Chaos(range(seed, seed + runs)))


def _tried(test: Callable[P, R], trials: Trials) -> Callable[P, R]:
    """The test, which runs itself as often as that, unless somebody does that already."""
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def tried_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            if current_trial() is None:
                raise RuntimeError(f"{test.__qualname__} is `async def`: pytest alone tries it")
            return await test(*args, **kwargs)

        setattr(tried_async, TRIALS, trials)
        return tried_async  # type: ignore[return-value]

    @functools.wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        if current_trial() is not None:
            return test(*args, **kwargs)
        answers: list[R] = []

        def run(trial: Trial) -> Failure | None:
            if answers and args and isinstance(args[0], unittest.TestCase):
                args[0].tearDown()
                args[0].doCleanups()
                args[0].setUp()
            try:
                with on_trial(trial):
                    answers.append(test(*args, **kwargs))
            except Exception as error:
                return Failure(type(error).__name__, error)
            return None

        finding = trials.search(run)
        if finding is not None:
            error: BaseException = finding.failure.told
            error.add_note(finding.text)
            raise error
        return answers[0]

    setattr(tried, TRIALS, trials)
    return tried
