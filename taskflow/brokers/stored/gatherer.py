"""Several verbs in one transaction, for somebody whose requests come many at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from taskflow.broker.prompt import Outcome, WouldWait
from taskflow.errors import FileReplaced
from taskflow.stores.gathers import Gathering, Gathers


class Gatherer:
    """Over one file or several. `keeping` keeps what is announced until all is committed."""

    def __init__(
        self,
        stores: Callable[[], Sequence[Gathers]],
        keeping: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._stores = stores
        self._keeping = keeping

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Gathered`. Of several files each is locked when it is first
        changed; they are committed one after the other."""
        parts = [store.gathering(patience) for store in self._stores()]
        with self._keeping():
            if len(parts) == 1:  # mostly; a stack costs as much as a small statement
                with parts[0]:
                    outcomes = _call_all(verbs, parts)
            else:
                with ExitStack() as stack:
                    for part in parts:
                        stack.enter_context(part)
                    outcomes = _call_all(verbs, parts)
        waits = [part.wait for part in parts if part.wait is not None]
        if len(waits) < 2:
            return outcomes, waits[0] if waits else None

        def wait() -> None:
            for one in waits:
                one()

        return outcomes, wait


def _call_all(verbs: Sequence[Callable[[], Any]], parts: Sequence[Gathering]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for verb in verbs:
        for part in parts:
            part.begin_call()
        try:
            outcomes.append((verb(), None))
        except (WouldWait, FileReplaced):
            raise
        except Exception as error:
            if any(part.broken() for part in parts):
                raise
            outcomes.append((None, error))
    return outcomes
