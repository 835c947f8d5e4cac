"""A broker over several files, and what its plain way was asked."""

from pathlib import Path
from typing import Any, cast

from taskflow import Broker, open_broker, publish
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.plain_way import ShardedPlainWay
from taskflow.brokers.sharded.publish import Publisher
from taskflow.placing import PLACES
from taskflow.publisher import EventId
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.testing import ManualClock
from tests.taskflow.stores.test_plain_way import Numbered


class Made:
    """A broker over several files whose clock stands still, two queues, and a topic for the first
    of them; what the plain way was asked, and whether it did it. A place is chosen once for each
    publish, whichever way it goes."""

    def __init__(
        self,
        path: Path,
        clock: ManualClock,
        *,
        files: int | None = 2,
        plain: bool = True,
        durability: str = "process",
    ) -> None:
        self.clock, self.random = clock, Numbered()
        more = "" if files is None else f"&shards={files}"
        address = f"sqlite:///{path}?durability={durability}{more}"
        opened = open_broker(address, clock=self.clock, random=self.random)
        self.broker = cast(ShardedBroker, opened)
        self.taken: list[bool] = []
        publisher = cast(Publisher, cast(Any, self.broker.publish).__self__)
        self.way = publisher.plain
        assert isinstance(self.way, ShardedPlainWay)
        self.homes: Homes = self.way._homes
        self.homes.new_place = self._place  # type: ignore[method-assign]
        self.broker.new_place = self._place
        take = self.way.publish

        def noted(topic: str, payload: Any, most: int) -> str | None:
            done = take(topic, payload, most) if plain else None
            self.taken.append(done is not None)
            return done

        self.way.publish = noted  # type: ignore[method-assign]
        if files is not None:
            for queue in ("work", "other"):
                self.broker.create_queue(queue)
            self.broker.create_topic("made")
            self.broker.subscribe("made", "work")

    @property
    def file(self) -> SqlitePlainWay:
        """That of the second file."""
        return self.broker.shards[1].plain

    place: int | None = None
    """Where the next ones lie; None: anywhere."""

    def _place(self, many: bool = False) -> int:
        return self.random.number * 389 % PLACES if self.place is None else self.place

    def publish(self, payload: Any, topic: str = "made") -> EventId:
        self.random.number += 1
        return publish(topic, payload, broker=cast(Broker, self.broker))

    def warm(self) -> None:
        """The topic is known in each file."""
        for file in range(len(self.broker.shards)):
            self.place = next(
                place
                for place in range(PLACES)
                if self.broker.course.placement.of_place(place) == file
            )
            self.publish("the first goes the general way")
        self.place = None
        self.taken.clear()

    def arrived(self) -> int:
        return sum(
            cast(int, shard.store._database.connection.execute("SELECT count(*) FROM arrival").get)
            for shard in self.broker.shards
        )

    def rows(self) -> list[list[Any]]:
        """All there is of messages in each file, but for receipts, which are random."""
        found = []
        for shard in self.broker.shards:
            shard.store.look(lambda _: None)
            connection = shard.store._database.connection
            for table, order in {"message": "queue, seq", "body": "seq", "shared": "seq"}.items():
                rows = [
                    list(row)
                    for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}")
                ]
                for row in rows if table == "message" else ():
                    row[4] = None
                found.append(rows)
        return found

    def check_places(self, bodies: list[str]) -> None:
        """Each of these is there once, in the file of its place."""
        placement = self.broker.course.placement
        there: list[str] = []
        for shard in self.broker.shards:
            for one in shard.broker.peek("work", 1000):
                if "the first goes" not in one.body:
                    assert placement.of_id(one.id) == shard.number
                    there.append(one.body[one.body.index('"data":') + 7 : -1])
        assert sorted(there) == sorted(bodies)
