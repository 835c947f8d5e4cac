"""What a broker may tell beside its protocol: what its credentials allow."""

from collections.abc import Collection, Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Rights(Protocol):
    """A broker whose owner gives rights by action and resource, as AWS does."""

    def account(self) -> str:
        """The account that topics and queues are in. Raises BrokerUnavailable."""
        ...

    def denied(self, wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        """Of these actions (`sqs:SendMessage`) by resource (an ARN), those that are not allowed.
        Nothing is done. Raises BrokerError when it cannot be asked."""
        ...
