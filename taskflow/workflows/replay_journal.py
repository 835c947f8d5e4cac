"""The steps of a run for code that is only tried: they answer what is kept, and nothing is done."""

from typing import NoReturn, cast

from taskflow.broker import Broker
from taskflow.broker.change import Remove
from taskflow.tasks.durable import Leaving, Suspended
from taskflow.tasks.work import Work
from taskflow.workflows.checkpoint import Checkpoint
from taskflow.workflows.drift import Drift
from taskflow.workflows.interrupted import Interrupted
from taskflow.workflows.journal import Journal
from taskflow.workflows.onlooker import Onlooker

SHOWN = 5  # steps in one line


class Replayed(Interrupted):
    """The code has come to where what is kept ends."""


class ReplayJournal(Journal):
    """Raises Replayed where the code would do something that is not kept yet."""

    def __init__(self, broker: Broker, work: Work, *, version: int) -> None:
        self.over = False
        self.strange: list[str] = []
        """Steps that the code takes, and that are not kept."""
        looks = cast(Broker, Onlooker(broker, self.stop))
        super().__init__(looks, work, version=version, strict=False)
        self.drift = Drift(self.run, self.durable.version, quiet=True)

    @property
    def size(self) -> int:
        """How many steps are kept."""
        return len(self._steps())

    def stop(self) -> NoReturn:
        """Here it ends."""
        self.over = True
        raise Replayed

    def enter(self, name: str) -> tuple[str, int, Checkpoint | None]:
        """As of a journal."""
        step, at, found = super().enter(name)
        if found is None:
            self.strange.append(step)
        return step, at, found

    def pass_by(self) -> None:
        """As of a journal."""
        super().pass_by()
        self.strange.pop()

    def check(self) -> None:
        """Raise Replayed when it has ended, but for steps side by side, which are all looked at."""
        if self.over and not self._together:
            raise Replayed

    def note(self, checkpoint: Checkpoint, *, vital: bool = False) -> None:
        """Something new would be kept."""
        self.stop()

    def remove(self, remove: Remove) -> None:
        """A signal would be taken."""
        self.stop()

    def settle_before_effect(self) -> None:
        """Something would happen."""
        self.stop()

    def flush(self) -> None:
        """Something would be kept."""
        self.stop()

    def leave(self, how: Suspended) -> Leaving:
        """The run would wait, or begin anew."""
        self.stop()


def differences(journal: ReplayJournal) -> list[str]:
    """How the code differs from what is kept of the run, once it has come to where that ends."""
    left = journal.unvisited()
    if not left:
        return journal.drift.differences
    if not journal.strange:
        return [
            *journal.drift.differences,
            *(f"{step}: it was a step, and is none any more" for step in left),
        ]
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    said = (
        f"{journal.strange[-1]}: it is a step now, and nothing is kept of it, though of "
        f"{', '.join(left[:SHOWN])}{more}, to which the code has not come: renamed, moved, or new"
    )
    return [*journal.drift.differences, said]
