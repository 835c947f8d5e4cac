"""A change as what happens in each file."""

from collections.abc import Sequence

import msgspec

from taskflow.broker.change import (
    Add,
    Applied,
    Change,
    Free,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
    Take,
)
from taskflow.broker.settings import Sent
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.message import Delivery


class Part(msgspec.Struct):
    """What of a change happens in one file; each list with the place of each entry in the whole."""

    fence: Delivery | None = None
    keys: list[Take | Free] = []
    records: list[Put | Remove] = []
    counters: list[Add] = []
    sends: list[Send | Publish] = []
    settlements: list[Settlement] = []
    records_at: list[int] = []
    counters_at: list[int] = []
    sends_at: list[tuple[int, Sequence[int]]] = []
    settlements_at: list[int] = []

    def change(self) -> Change:
        """As a change of its own."""
        return Change(
            fence=self.fence,
            keys=self.keys,
            records=self.records,
            counters=self.counters,
            sends=self.sends,
            settlements=self.settlements,
        )


class Splitting:
    """Says which files a change is about, and takes it apart."""

    def __init__(self, placement: Placement, receipts: Receipts) -> None:
        self._placement = placement
        self._receipts = receipts

    def files(self, change: Change) -> set[int]:
        """All that it may concern, those of what follows a count too."""
        place = self._placement
        found: set[int] = set()
        if change.id is not None:
            found.add(self.home_of(change.id))
        if change.fence is not None:
            found.add(self._file_of(change.fence))
        found.update(place.of_key(one.key) for one in change.keys)
        found.update(place.of_id(one.key) for one in change.records)
        for add in change.counters:
            found.add(place.of_id(add.key))
            found |= self._files_of(add.then)
        for send in change.sends:
            found |= place.of_send(send)
        found.update(self._file_of(one.delivery) for one in change.settlements)
        return found or {0}

    def home_of(self, id: str) -> int:
        """The file in which it is noted that a change of this id was made."""
        return self._placement.of_text(id)

    def _files_of(self, then: Sequence[Put | Send]) -> set[int]:
        found: set[int] = set()
        for one in then:
            if isinstance(one, Put):
                found.add(self._placement.of_id(one.key))
            else:
                found |= self._placement.of_send(one)
        return found

    def _file_of(self, delivery: Delivery) -> int:
        return self._receipts.file_of(delivery.receipt) or 0

    def split(self, change: Change) -> tuple[dict[int, Part], dict[int, Sequence[Put | Send]]]:
        """The parts by file; and, by the place of the counter, what follows it in another file."""
        place = self._placement
        parts: dict[int, Part] = {}
        later: dict[int, Sequence[Put | Send]] = {}

        def part(number: int) -> Part:
            return parts.setdefault(number, Part())

        if change.fence is not None:
            part(self._file_of(change.fence)).fence = self._receipts.known(change.fence)
        for key in change.keys:
            part(place.of_key(key.key)).keys.append(key)
        for at, record in enumerate(change.records):
            one = part(place.of_id(record.key))
            one.records.append(record)
            one.records_at.append(at)
        for at, add in enumerate(change.counters):
            number = place.of_id(add.key)
            if add.then and self._files_of(add.then) != {number}:
                later[at] = add.then
                add = msgspec.structs.replace(add, then=())
            one = part(number)
            one.counters.append(add)
            one.counters_at.append(at)
        for at, send in enumerate(change.sends):
            name = send.queue if isinstance(send, Send) else send.topic
            spread = place.spread(name, send.messages) or {0: []}
            for number, places in spread.items():
                messages = [send.messages[each] for each in places]
                one = part(number)
                one.sends.append(msgspec.structs.replace(send, messages=messages))
                one.sends_at.append((at, places))
        for at, settlement in enumerate(change.settlements):
            one = part(self._file_of(settlement.delivery))
            one.settlements.append(settlement)
            one.settlements_at.append(at)
        return parts, later


def join(change: Change, parts: dict[int, Part], answers: dict[int, Applied]) -> Applied:
    """What became of the whole."""
    versions = [0] * len(change.records)
    counts: list[int | None] = [None] * len(change.counters)
    sent: list[list[Sent | None]] = [[None] * len(send.messages) for send in change.sends]
    settled = [False] * len(change.settlements)
    for number, part in parts.items():
        answer = answers[number]
        for at, version in zip(part.records_at, answer.versions, strict=True):
            versions[at] = version
        for at, count in zip(part.counters_at, answer.counts, strict=True):
            counts[at] = count
        for (at, places), some in zip(part.sends_at, answer.sent, strict=True):
            for each, one in zip(places, some, strict=True):
                sent[at][each] = one
        for at, done in zip(part.settlements_at, answer.settled, strict=True):
            settled[at] = done
    return Applied(
        versions=versions,
        counts=counts,
        sent=[[one for one in some if one is not None] for some in sent],
        settled=settled,
    )
