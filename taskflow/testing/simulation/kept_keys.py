"""Keys of a simulation and who holds them, kept beside the database."""

from collections.abc import Callable, Sequence
from typing import Any

_UNSAID = float("nan")  # until when somebody holds a key, as far as the store tells


class KeptKeys:
    """As `KeptRecords`, for keys."""

    def __init__(self, look: Callable[[Callable[[Any], Any]], Any]) -> None:
        self._look = look
        self._held: dict[str, tuple[str, float | None] | None] = {}
        self._changed: set[str] = set()

    def may_take(self, key: str, holder: str, now: float) -> bool | None:
        """Whether this holder gets it; None when that is not to be said without the store."""
        if key not in self._held:
            found = self._look(lambda rows: rows.records.holders([key], now)).get(key)
            self._held[key] = None if found is None else (found, _UNSAID)
        held = self._held[key]
        if held is None or held[0] == holder:
            return True
        until = held[1]
        if until is not None and until != until:
            return None
        return until is not None and until <= now

    def take(self, key: str, holder: str, until: float | None) -> None:
        """It may, and does."""
        self._held[key] = holder, until
        self._changed.add(key)

    def free(self, key: str, holder: str) -> None:
        """It is free, if this holder has it."""
        if key not in self._held:
            found = self._look(lambda rows: rows.records.holders([key], float("-inf"))).get(key)
            self._held[key] = None if found is None else (found, _UNSAID)
        held = self._held[key]
        if held is not None and held[0] == holder:
            self._held[key] = None
            self._changed.add(key)

    def put_away(self) -> tuple[Sequence[tuple[str, str, float | None]], Sequence[str]]:
        """What is to be written, and is taken for written from now on: keys, and free ones."""
        taken, freed = [], []
        for key in self._changed:
            held = self._held[key]
            if held is None:
                freed.append(key)
            else:
                taken.append((key, *held))
        self._changed.clear()
        return taken, freed

    def tidy(self) -> None:
        """Forget keys that nobody holds. All was put away."""
        self._held = {key: held for key, held in self._held.items() if held is not None}

    def forget(self) -> None:
        """Somebody else may write. All was put away."""
        self._held.clear()
