"""CoordinationStore: the contract of what keeps pauses, rates, leases and reports for all workers.

`memory_store` keeps them in this process, `sql_store` and `dynamo_store` for all that reach them.
"""

from collections.abc import Mapping
from typing import Protocol

from taskflow.broker.settings import WorkerReport


class CoordinationStore(Protocol):
    """Thread-safe. Raises BrokerUnavailable. Times are epoch seconds, and those of the callers:
    their clocks are compared, and should agree to a second."""

    remote: bool
    """Whether asking costs a request, so that answers are kept for some seconds."""

    # ---- pauses -----------------------------------------------------------------------------
    def pause(self, queue: str, paused: bool) -> None:
        """Note that a queue is paused, or no more. Idempotent."""
        ...

    def paused(self) -> frozenset[str]:
        """The queues that are paused."""
        ...

    # ---- rates ------------------------------------------------------------------------------
    def take(self, name: str, per_second: float, tokens: float, now: float) -> float:
        """Take tokens from a bucket, which may go below 0, and answer what it holds then. It fills
        at that rate up to a tenth of a second's worth, 1 at least. Atomic: of what several take at
        once nothing is lost. To take 0 is to look, and writes nothing."""
        ...

    # ---- one of many ------------------------------------------------------------------------
    def hold(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Take a lease, or prolong it: true when it is this holder's until `now + seconds`, false
        when it is another's, whose time has not run out. Atomic: of several that ask at once one
        has it. `seconds=0` gives it up."""
        ...

    # ---- workers ----------------------------------------------------------------------------
    def report(self, worker: WorkerReport) -> None:
        """Remember what a worker says of itself, as of its `seen_at`, in place of what it said
        before."""
        ...

    def retire(self, worker_id: str) -> None:
        """Forget a worker. Idempotent."""
        ...

    def workers(self, since: float, drop_before: float) -> list[WorkerReport]:
        """What workers said of themselves since then, by id; what is older than `drop_before` is
        removed for good."""
        ...

    # ---- the wire server --------------------------------------------------------------------
    def identity(self) -> dict[str, str]:
        """What `set_identity` noted."""
        ...

    def set_identity(self, values: Mapping[str, str]) -> None:
        """Note values by name; other names stay as they are."""
        ...

    def close(self) -> None:
        """Let go of what is open. Idempotent."""
        ...
