"""Rows of a plan that are stored before it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Remove
from taskflow.errors import LimitExceeded
from taskflow.tasks.canvas.following import SWEEP
from taskflow.tasks.run import Run

AT_ONCE = 1000  # rows of one change
ABANDONED = 3600.0
"""Seconds after which the rows of a plan go that nobody has added to, nor begun."""
EARLY = '{"early":true}'
"""The value of the record that says so: that of a plan that has ended has another."""


def is_early(broker: Broker, run: Run) -> bool:
    """Whether a run is there before its plan is whole. It has not begun, and cannot end: what it
    would tell of that, its group's counter, comes with the plan's last change."""
    if run.place is None:
        return False
    goes = broker.records(SWEEP, [run.place.root]).get(run.place.root)
    return goes is not None and goes.value == EARLY


class EarlyRows:
    """Of a plan that is long, and under an id that nobody else knows: a row does nothing until a
    message names it, and all messages are in the plan's last change. Until then a record says that
    the rows are to go; the last change takes it away, or finds that they are gone."""

    def __init__(self, broker: Broker, root: str) -> None:
        self._broker = broker
        self._root = root
        self._version = 0
        self._until = 0.0

    def store(self, rows: list[Put]) -> list[Put]:
        """Store these when they are many; answers what is left of them. Raises LimitExceeded when
        making them took so long that those before may be gone, and what the broker does."""
        if len(rows) < AT_ONCE:
            return rows
        self._check_in_time()
        self._until = self._broker.clock.now() + ABANDONED
        goes = self._goes(self._until)
        answer = self._broker.apply([Change(records=[goes, *rows])], durable=False)[0].or_raise()
        self._version = answer.versions[0]
        return []

    def closed(self) -> list[Remove]:
        """What goes with the plan's last change. Raises as `store` does."""
        self._check_in_time()
        return [Remove(SWEEP, self._root, self._version)] if self._version else []

    @contextmanager
    def or_none(self) -> Iterator[None]:
        """What was stored goes soon when the plan does not come about."""
        try:
            yield
        except BaseException:
            if self._version:
                self._broker.apply([Change(records=[self._goes(self._broker.clock.now())])])
            raise

    def _check_in_time(self) -> None:
        if self._version and self._broker.clock.now() > self._until - ABANDONED / 2:
            raise LimitExceeded(
                f"{AT_ONCE} members of a group took over {ABANDONED / 120:g} minutes to make; make "
                "them first, and the group of a list"
            )

    def _goes(self, at: float) -> Put:
        return Put(
            kind=SWEEP, key=self._root, value=EARLY, due_at=at, expected=self._version or None
        )
