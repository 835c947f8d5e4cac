"""What somebody tells one worker: to take nothing new, or to end. It reads that when it reports."""

from typing import Literal, cast

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Remove

ORDER = "worker-order"
"""The kind of the records, by the id of the worker."""
KEPT = 30 * 86400.0  # seconds; a worker that was killed never takes its own away

Told = Literal["", "pause", "drain"]
"""Nothing: it works. `pause`: it takes nothing new, and finishes what it holds. `drain`: that, and
then it ends, with exit code 0."""


def tell_worker(broker: Broker, id: str, told: Told) -> None:
    """Tell a worker; it does so within its next report, 10 seconds. One that drains has heard its
    last word: it ends. Raises BrokerError."""
    change = Put(kind=ORDER, key=id, value="{}", state=told, expires_at=broker.clock.now() + KEPT)
    remove = Remove(kind=ORDER, key=id)
    broker.apply([Change(records=[change if told else remove])])[0].or_raise()


def told_to(broker: Broker, id: str) -> Told:
    """What a worker was told. Raises BrokerError."""
    found = broker.records(ORDER, [id]).get(id)
    return cast(Told, found.state) if found is not None and found.state else ""
