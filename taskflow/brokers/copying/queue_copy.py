"""What became of one queue when its messages were moved to another broker."""

from dataclasses import dataclass


@dataclass
class QueueCopy:
    """How many messages were moved, how many events it remembers as finished, and what is left: in
    flight, waiting for a retry or behind such a message (`in_flight`), or of runs that stay
    (`of_runs`)."""

    name: str
    moved: int = 0
    finished: int = 0
    in_flight: int = 0
    of_runs: int = 0
