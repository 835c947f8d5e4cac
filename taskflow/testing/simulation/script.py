"""Which faults happen in a simulation: drawn by a seed, or those of a list alone."""

from collections import Counter
from collections.abc import Callable, Collection
from hashlib import sha256

from taskflow.testing.simulation.fault_rates import Faults


class Script:
    """Each place where a fault can happen has a name, `crash before the handler of audit #2`. What
    happens there follows from the seed and this name alone: not from hash order, nor from what
    happened elsewhere. With `only`, those happen, whatever the rates.
    """

    def __init__(
        self, seed: int | str, rates: Faults, only: Collection[str] | None = None, prefix: str = ""
    ) -> None:
        self.seed = seed
        self._rates = rates
        self._only = None if only is None else frozenset(only)
        self._prefix = prefix
        self._counts: Counter[str] = Counter()
        self.crash_points: list[str] = []
        """Where a crash could have happened, in order."""
        self.fired: list[str] = []
        """What happened, in order."""
        self.tell: Callable[[str], None] = self.fired.append
        """Is told what happens."""

    @property
    def quiet(self) -> bool:
        """Whether nothing can happen, and nobody wants to know where it could have."""
        return self._only is None and self._rates == Faults()

    def happens(self, kind: str, what: str) -> bool:
        """Whether a fault of this kind (a field of `Faults`) happens here."""
        self._counts[what] += 1
        name = f"{self._prefix}{what} #{self._counts[what]}"
        if kind == "crashes":
            self.crash_points.append(name)
        if self._only is not None:
            happens = name in self._only
        else:
            rate = getattr(self._rates, kind)
            happens = rate > 0 and self.draw(name) < rate
        if happens:
            self.tell(name)
        return happens

    def draw(self, name: str) -> float:
        """A number from 0 to 1 that belongs to a name."""
        digest = sha256(f"{self.seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def amount(self, what: str) -> float:
        """A number from 0 to 1 for what has just happened."""
        return self.draw(f"{self._prefix}{what} #{self._counts[what]} by how much")
