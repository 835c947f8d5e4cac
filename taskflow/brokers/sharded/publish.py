"""Messages on their way in: each to the file of its place."""

from collections.abc import Callable, Sequence
from random import Random

from taskflow.broker.settings import Published, Sent
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.plain_way import ShardedPlainWay
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.clock import Clock
from taskflow.limits import check_no_connection
from taskflow.message import Message

WHAT = "a broker over SQLite"


class Publisher:
    """Thread-safe. What goes to one file is one transaction there. What goes to several is stored
    in all of them or in none, unless the process ends between two commits: then nobody was
    answered, and it is made whole by repeating it under the same ids."""

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        placement: Placement,
        homes: Homes,
        clock: Clock,
        random: Random,
    ) -> None:
        self.plain = ShardedPlainWay(course, shards, homes, self.publish, clock, random)
        """For what is nothing but a payload."""
        self._steady = course.steady
        self._shards = shards
        self._placement = placement
        self._homes = homes

    def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> Published:
        """Store messages in every queue that subscribes to a topic."""
        if connection is not None:
            check_no_connection(connection, WHAT)
        if len(messages) == 1:
            return self._steady(
                lambda: self._file_of(topic, messages[0]).broker.publish(topic, messages)
            )
        reached = 0

        def publish(shard: Shard, some: Sequence[Message]) -> Sequence[Sent]:
            nonlocal reached
            answer = shard.broker.publish(topic, some)
            reached = answer.subscriptions
            return answer.sent

        sent = self._steady(lambda: self._store(topic, messages, publish))
        return Published(reached, sent)

    def send(
        self,
        queue: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Sent]:
        """Store messages in one queue."""
        if connection is not None:
            check_no_connection(connection, WHAT)
        if len(messages) == 1:
            return self._steady(
                lambda: self._file_of(queue, messages[0]).broker.send(queue, messages)
            )

        def send(shard: Shard, some: Sequence[Message]) -> Sequence[Sent]:
            return shard.broker.send(queue, some)

        return list(self._steady(lambda: self._store(queue, messages, send)))

    def _file_of(self, name: str, message: Message) -> Shard:
        return self._shards[self._placement.of_sent(name, message)]

    def _store(
        self,
        name: str,
        messages: Sequence[Message],
        store: Callable[[Shard, Sequence[Message]], Sequence[Sent]],
    ) -> Sequence[Sent]:
        placement = self._placement
        if not messages:  # any file knows who subscribes
            return store(self._shards[placement.of_place(self._homes.new_place())], messages)
        spread = placement.spread(name, messages)
        if len(spread) == 1:
            return store(self._shards[next(iter(spread))], messages)
        shards = [self._shards[number] for number in sorted(spread)]

        def store_all() -> list[Sent]:
            sent: dict[int, Sent] = {}
            for shard in shards:
                places = spread[shard.number]
                answers = store(shard, [messages[at] for at in places])
                sent.update(zip(places, answers, strict=True))
            return [sent[at] for at in range(len(messages))]

        sent = locked(shards, store_all, durable=False)
        for shard in shards:  # nobody else waits for the disk
            shard.store.sync()
        return sent
