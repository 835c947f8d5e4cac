"""What became of the trees of one name when a broker was copied to another."""

from dataclasses import dataclass


@dataclass
class TreeTally:
    """Of the runs of a task, each with all that hangs on it, or of schedules (`name` says which):
    how many were moved, and how many are left: `in_flight`, since something of them runs, waits for
    a retry, stands behind another message of its group or has just changed; `taken`, since the
    other broker has one of the same id or somebody else has their unique key there; `scattered`
    over several files; `too_large` to be moved in one change; `unreadable` here."""

    name: str
    moved: int = 0
    in_flight: int = 0
    taken: int = 0
    scattered: int = 0
    too_large: int = 0
    unreadable: int = 0

    def begin(self) -> None:
        """What is left is about to be counted anew."""
        self.in_flight = self.taken = self.scattered = self.too_large = self.unreadable = 0
