"""What a broker may tell beside its protocol: the time that all who share it go by."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class SharedTime(Protocol):
    """A broker that knows a time of its own, whatever this machine's clock says."""

    def now(self) -> float:
        """Epoch seconds. Raises BrokerUnavailable."""
        ...
