"""Whether a call may have a priority."""

from taskflow.broker import Broker
from taskflow.errors import ConfigError


def check_priorities(broker: Broker) -> None:
    """Raise ConfigError if the broker heeds no priorities."""
    if not broker.features.priorities:
        raise ConfigError(
            "this broker has no priorities: give what is urgent a queue and workers of its own "
            "(a task may have several queues, and options(queue=…) chooses)"
        )
