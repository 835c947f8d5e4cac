"""Several verbs in one transaction, for somebody whose requests come many at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from taskflow.broker.prompt import Outcome, WouldWait
from taskflow.errors import FileReplaced
from taskflow.stores.gathers import Gathering, Gathers
from taskflow.uninterrupted import uninterrupted


class Gatherer:
    """`keeping` keeps what is announced until all is committed."""

    def __init__(self, store: Gathers, keeping: Callable[[], AbstractContextManager[None]]) -> None:
        self._store = store
        self._keeping = keeping

    @uninterrupted
    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Gathered`."""
        part = self._store.gathering(patience)
        try:
            with self._keeping(), part:
                outcomes = _call_all(verbs, part)
        except BaseException as error:
            try:
                part.abandon(error)
            finally:
                part.abandon(error)  # Ctrl-C may have come once more
            raise
        return outcomes, part.wait


def _call_all(verbs: Sequence[Callable[[], Any]], part: Gathering) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for verb in verbs:
        part.begin_call()
        try:
            outcomes.append((verb(), None))
        except (WouldWait, FileReplaced):
            raise
        except Exception as error:
            if part.broken():
                raise
            outcomes.append((None, error))
    return outcomes
