"""What a broker said when it was told how jobs ended."""

from dataclasses import dataclass, field

from taskflow.errors import BrokerUnavailable
from taskflow.worker.job import Job


@dataclass(slots=True)
class Answers:
    """What the broker said of each job."""

    settled: list[Job] = field(default_factory=list)
    """It knows now."""
    lost: list[Job] = field(default_factory=list)
    """The lease was lost before: the message runs again elsewhere."""
    refused: list[tuple[Job, Exception]] = field(default_factory=list)
    """It refuses for good: they come back when their leases end."""
    untold: list[Job] = field(default_factory=list)
    """It cannot be used now (`error`): they are to be told again."""
    error: BrokerUnavailable | None = None
