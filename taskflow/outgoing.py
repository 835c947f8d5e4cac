"""What a task sends while it runs, kept until it has ended: sent if it succeeds, and only then."""

from collections.abc import Sequence
from contextvars import ContextVar

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Publish, Put, Remove, Send
from taskflow.broker.traffic import Traffic
from taskflow.message import Message


class Outgoing(msgspec.Struct, eq=False):
    """Collects for one run. Thread-safe, as lists are: a handler may send from threads of its own.

    `broker` is the one whose transaction settles the run; what is sent elsewhere is not kept.
    """

    broker: Broker
    sends: list[Send | Publish] = []
    records: list[Put | Remove] = []
    counters: list[Add] = []
    closed: bool = False

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Publish these in the end."""
        self.sends.append(Publish(topic, messages))

    def change(self) -> Change:
        """All there is, as a change of its own."""
        return Change(records=self.records, counters=self.counters, sends=self.sends)

    def __bool__(self) -> bool:
        """Whether anything was sent."""
        return bool(self.sends or self.records)

    def flush(self) -> None:
        """Send what there is now, without waiting for the end. Raises what the broker does."""
        if self:
            self.broker.apply([self.change()])[0].or_raise()
            self.sends, self.records, self.counters = [], [], []


outgoing: ContextVar[Outgoing | None] = ContextVar("taskflow_outgoing", default=None)
"""Where the run of this thread or coroutine collects what it sends; None outside of one."""


def collecting(broker: Traffic) -> Outgoing | None:
    """Where to collect what is sent now to `broker`, if a run that is settled there collects."""
    found = outgoing.get()
    if found is None or found.closed or found.broker is not broker:
        return None
    return found
