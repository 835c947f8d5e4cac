"""One run of a test: the seed and the faults that its simulations are under, and what they saw."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskflow.testing.simulation.fault_rates import Faults
from taskflow.testing.simulation.script import Script

if TYPE_CHECKING:
    from taskflow.testing.simulation.sim import Sim


class Trial:
    """Made by whoever runs a test again and again; each simulation of the test asks it (`script`).
    Without rates and without `only`, nothing happens, and the places are noted."""

    def __init__(
        self, seed: int | str, rates: Faults | None = None, only: Collection[str] | None = None
    ) -> None:
        self.seed = seed
        self._rates = Faults() if rates is None else rates
        self._only = () if rates is None and only is None else only
        self.sims: list[Sim] = []

    def script(self, sim: "Sim") -> Script:
        """What befalls this simulation, one of the test's."""
        self.sims.append(sim)
        prefix = "" if len(self.sims) == 1 else f"simulation {len(self.sims)}: "
        return Script(self.seed, self._rates, self._only, prefix)

    @property
    def fired(self) -> list[str]:
        """The faults that happened."""
        return [name for sim in self.sims for name in sim.faults]

    @property
    def crash_points(self) -> list[str]:
        """Where a crash could have happened."""
        return [name for sim in self.sims for name in sim.crash_points]

    def history(self) -> str:
        """What the simulations went through."""
        return "\n".join(sim.history() for sim in self.sims)


_current: list[Trial] = []


def current_trial() -> Trial | None:
    """The trial that is on."""
    return _current[-1] if _current else None


@contextmanager
def on_trial(trial: Trial) -> Iterator[Trial]:
    """Let simulations that are made in this block be of this trial."""
    _current.append(trial)
    try:
        yield trial
    finally:
        _current.pop()
