"""What a broker said when it was told how jobs ended."""

import msgspec

from taskflow.errors import BrokerUnavailable
from taskflow.worker.job import Job


class Answers(msgspec.Struct):
    """What the broker said of each job."""

    settled: list[Job] = []
    """It knows now."""
    lost: list[Job] = []
    """The lease was lost before: the message runs again elsewhere."""
    refused: list[tuple[Job, Exception]] = []
    """It refuses for good: they come back when their leases end."""
    untold: list[Job] = []
    """It cannot be used now (`error`): they are to be told again."""
    error: BrokerUnavailable | None = None
