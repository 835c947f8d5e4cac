"""A broker that counts what is sent through it: by topic, and by queue."""

from collections.abc import Iterable, Sequence
from typing import Any

from taskflow.broker.change import Applied, Change, Publish, Send
from taskflow.broker.settings import Published, Sent
from taskflow.message import Message
from taskflow.telemetry.counter import Counter
from taskflow.telemetry.family import Family


class CountedBroker:
    """Used where a Broker is: as the one within, but that messages are counted once they are
    stored."""

    def __init__(self, within: Any) -> None:
        self.counted_within = within
        self._published = Counter(
            "taskflow_publishes_total", "Events published by this process.", ["topic"]
        )
        self._sent = Counter(
            "taskflow_sends_total",
            "Messages that this process sent to a queue directly: tasks, mostly.",
            ["queue"],
        )
        for name in dir(within):
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, getattr(within, name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "counted_within":
            raise AttributeError(name)
        return getattr(self.counted_within, name)

    def publish(self, topic: str, messages: Sequence[Message], **named: Any) -> Published:
        """As of a broker."""
        done: Published = self.counted_within.publish(topic, messages, **named)
        self._count([Publish(topic, messages)])
        return done

    def send(self, queue: str, messages: Sequence[Message], **named: Any) -> list[Sent]:
        """As of a broker."""
        done: list[Sent] = self.counted_within.send(queue, messages, **named)
        self._count([Send(queue, messages)])
        return done

    def apply(self, changes: Sequence[Change], durable: bool = True) -> list[Applied]:
        """As of a broker."""
        made: list[Applied] = self.counted_within.apply(changes, durable)
        for change, answer in zip(changes, made, strict=True):
            if answer.refused is None and not answer.repeated:
                self._count(change.sends)
        return made

    def _count(self, sends: Iterable[Send | Publish]) -> None:
        for one in sends:
            if not one.messages:
                continue
            if isinstance(one, Publish):
                self._published.add(one.topic, by=len(one.messages))
            else:
                self._sent.add(one.queue, by=len(one.messages))

    def families(self) -> list[Family]:
        """What was counted so far."""
        return [self._published.family(), self._sent.family()]
