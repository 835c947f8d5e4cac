"""Which file what is asked for lies in."""

from collections.abc import Sequence

from taskflow.broker.change import Publish, Send
from taskflow.broker.handover import Finished, Handed
from taskflow.brokers.sharded.shard_map import ShardMap, owners_of
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.placing import FIFO_PLACE, hash_of, place_of, place_of_key
from taskflow.stores.sqlite.place_conditions import place_of_row


class Placement:
    """Knows the map of a broker. Files are called by their numbers."""

    def __init__(self, found: ShardMap) -> None:
        self.follow(found)

    def follow(self, found: ShardMap) -> None:
        """Go by another map."""
        self._owners = owners_of(found)
        self.fifo = self._owners[FIFO_PLACE]
        """The file of all FIFO topics and queues."""
        places: list[list[int]] = [[] for _ in range(found.shards)]
        for place, owner in enumerate(self._owners):
            places[owner].append(place)
        self.files = [(number, some) for number, some in enumerate(places) if some]
        """Those that have any places, and which. (A new one has none for a moment.)"""
        self.map = found
        """Last: whoever chooses a file by this one's epoch chooses by all of it."""

    def of_place(self, place: int) -> int:
        """The file of a place."""
        return self._owners[place]

    def of_id(self, id: str) -> int:
        """The file of a record, by its key, and of what is noted of a message."""
        return self._owners[place_of(id)]

    def of_key(self, key: str) -> int:
        """The file of a unique key, a rate or a lease."""
        return self._owners[place_of_key(key)]

    def of_text(self, text: str) -> int:
        """The file of what has no other place."""
        return self._owners[hash_of(text)]

    def of_sent(self, name: str, message: Message) -> int:
        """The file of a message that is sent to the queue or topic of this name."""
        return self.fifo if is_fifo(name) else self.of_message(message)

    def of_message(self, message: Message) -> int:
        """The file of a message of a standard queue: that of its id; but those that share a limit
        lie together, so that it is exact."""
        if message.slot is not None:
            return self._owners[hash_of(message.slot)]
        return self._owners[place_of(message.id)]

    def of_handed(self, queue: str, one: Handed) -> int:
        """The file of a message that comes from another broker: where it would lie if it had been
        sent here."""
        if is_fifo(queue) or is_fifo(one.topic):
            return self.fifo
        return self._owners[place_of_row(one.id, one.topic, one.slot, one.extra)]

    def of_finished(self, queue: str, one: Finished) -> int:
        """The file in which it is remembered that an event is finished."""
        return self.fifo if is_fifo(queue) or is_fifo(one.topic) else self.of_id(one.id)

    def spread(self, name: str, messages: Sequence[Message]) -> dict[int, list[int]]:
        """Where each message goes that is sent to the queue or topic of this name: their places
        among all, by file."""
        if is_fifo(name):
            return {self.fifo: list(range(len(messages)))}
        found: dict[int, list[int]] = {}
        for at, message in enumerate(messages):
            found.setdefault(self.of_message(message), []).append(at)
        return found

    def of_all(self, name: str, messages: Sequence[Message]) -> set[int]:
        """The files to which these messages go."""
        if is_fifo(name):
            return {self.fifo}
        return {self.of_message(message) for message in messages}

    def of_send(self, send: Send | Publish) -> set[int]:
        """As `of_all`, of a part of a change."""
        return self.of_all(send.queue if isinstance(send, Send) else send.topic, send.messages)
