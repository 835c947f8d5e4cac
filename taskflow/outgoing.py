"""What a task sends while it runs, kept until it has ended: sent if it succeeds, and only then."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Publish, Put, Remove, Send
from taskflow.broker.traffic import Traffic
from taskflow.message import Delivery, Message, new_id
from taskflow.placing import place_beside


def place_of_work(delivery: Delivery) -> int:
    """Where a message lies (`taskflow.placing`), and what is sent by who handles it."""
    return place_beside(delivery.queue, delivery.run or delivery.id, delivery.slot)


class Outgoing(msgspec.Struct, eq=False):
    """Collects for one run. Thread-safe, as lists are: a handler may send from threads of its own.

    `broker` is the one whose transaction settles the run; what is sent elsewhere is not kept.
    `beside`: what is sent under new ids is to lie where that message does.
    """

    broker: Broker
    beside: Delivery | None = None
    sends: list[Send | Publish] = []
    records: list[Put | Remove] = []
    counters: list[Add] = []
    closed: bool = False

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Publish these in the end."""
        self.add(topic, sends=[Publish(topic, messages)])

    def add(
        self,
        what: str,
        *,
        sends: Sequence[Send | Publish] = (),
        records: Sequence[Put] = (),
        counters: Sequence[Add] = (),
    ) -> None:
        """Send these in the end; `what` names a topic or a task."""
        self.records += records
        self.counters += counters
        self.sends += sends

    def new_id(self, what: str) -> str:
        """The id of something that is to be sent; `what` as for `add`."""
        place = None if self.beside is None else place_of_work(self.beside)
        return new_id(self.broker.clock.now(), self.broker.random, place)

    def once(self, what: str, call: Callable[[], tuple[str, bool]]) -> tuple[str, bool]:
        """What cannot wait for the end: a call that may be one which is there already. Answers its
        id, and whether it was made."""
        return call()

    def check_may_join(self) -> None:
        """Raise where nothing may be stored in a transaction of the caller's."""

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


def check_may_join() -> None:
    """Raise if code like that which runs here may not store in a transaction of its own choice."""
    if (found := outgoing.get()) is not None and not found.closed:
        found.check_may_join()


def collecting(broker: Traffic) -> Outgoing | None:
    """Where to collect what is sent now to `broker`, if a run that is settled there collects."""
    found = outgoing.get()
    if found is None or found.closed or found.broker is not broker:
        return None
    return found
