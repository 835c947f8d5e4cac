"""The dead letters of a simulation."""

from dataclasses import dataclass

import msgspec

from taskflow.broker import Broker
from taskflow.limits import dlq_of
from taskflow.message import FAILURE, plain_text
from taskflow.registry import Registry

MOST = 1000  # letters of one queue that are looked at


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that nobody could handle. `queue` is the one it came from; `reason` why it is dead,
    `error` and `message` what its handler raised, `attempts` how often it did."""

    id: str
    topic: str
    queue: str
    handler: str
    reason: str
    error: str
    message: str
    attempts: int

    @property
    def why(self) -> str:
        """All that is said of it."""
        return f"{self.reason}; {self.error}: {self.message}" if self.error else self.reason

    def __str__(self) -> str:
        return f"{self.topic or 'task'} {self.id} of {self.queue}, {self.attempts} attempts: " + (
            self.why
        )


def letters_in(broker: Broker, registry: Registry) -> list[Letter]:
    """The dead letters of a registry's queues."""
    found = []
    there = set(broker.queues())
    for queue in registry.queues():
        if dlq_of(queue) in there:
            for one in broker.peek(dlq_of(queue), limit=MOST):
                text = plain_text(one.attributes.get(FAILURE, "{}"))
                record = msgspec.json.decode(text)
                found.append(
                    Letter(
                        one.id,
                        one.topic,
                        queue,
                        record.get("handler") or "-",
                        record.get("reason") or "",
                        record.get("error") or "",
                        record.get("message") or "",
                        record.get("attempts") or 0,
                    )
                )
    return found
