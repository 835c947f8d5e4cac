"""A plain publish to one of several files: each has the way of one file."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from taskflow.broker.settings import Published
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.shard import Shard
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.event import Event, trace_child
from taskflow.message import Message, new_id


class ShardedPlainWay:
    """`TakesPublishes` over several files: the id says which. Thread-safe.

    A file that has got another map since has another stamp, too, and declines, as after any other
    declaration.
    """

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        homes: Homes,
        publish: Callable[[str, Sequence[Message]], Published],
        clock: Clock,
        random: Random,
    ) -> None:
        """`publish` is the general way."""
        self._course = course
        self._shards = shards
        self._placement = course.placement
        self._homes = homes
        self._publish = publish
        self._clock = clock
        self._random = random

    def publish(self, topic: str, payload: Any, most: int) -> str | None:
        """As `TakesPublishes`."""
        for shard in self._shards:
            if topic in shard.plain.plans:
                break
        else:
            return None  # before a place is chosen for nothing
        placement, random = self._placement, self._random
        epoch = placement.map.epoch  # before the file is chosen
        place = self._homes.new_place()
        try:
            plain = self._shards[placement.of_place(place)].plain
        except MapChanged:
            return None
        now = self._clock.now()
        id = new_id(now, random, place)
        try:
            return plain.publish(topic, payload, most, id, epoch)
        except BrokerError:
            # The file may be one that has left the broker, perhaps with the message.
            if not self._course.is_stale(epoch):
                raise
        traceparent = trace_child(None, random)
        event = Event(topic=topic, payload=payload, id=id, time=now, traceparent=traceparent)
        self._publish(topic, [event.message(most=most)])
        return id

    def publish_many(self, topic: str, events: Sequence[Event[Any]], most: int) -> bool:
        """Declined: their ids are of many files."""
        return False
