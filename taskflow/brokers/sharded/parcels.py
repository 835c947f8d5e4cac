"""What one file owes another: kept in the first until it has happened in the second."""

import logging
from collections.abc import Mapping, Sequence

from taskflow.broker.change import Change, Put, Remove
from taskflow.broker.record import RecordQuery
from taskflow.broker.tree_handover import Tree
from taskflow.brokers.sharded.parcel import Deed, Noted, read_parcel, write_parcel
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.coming_trees import put_in
from taskflow.errors import VersionConflict
from taskflow.stores.rows import Rows

PARCEL = "shard-parcel"
"""The kind of the records of what is owed; the key is the file, and a number that rises by one."""
RECEIVED = "shard-received"
"""The kind of the records of what came: the key is the file it came from, the value the number of
the last one."""
PAGE = 100

log = logging.getLogger("taskflow.shards")


class Owing(Exception):
    """Something older is owed still: it goes first."""


class Parcels:
    """Thread-safe; any number of processes may move the same ones: each happens once."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards

    def note(self, source: Shard, deeds: Mapping[int, Sequence[Deed]]) -> Sequence[Remove]:
        """In the transactions in which these things were done, that of `source` the first that is
        committed: note there what the others did, and in each that it was done. Answers what is to
        be removed from `source` when all are committed. Raises Owing."""
        records: list[Put] = []
        for number, changes in deeds.items():
            target = self._shards[number]
            last = self._received(target, source.number) + 1
            key = _key(number, last)
            records.append(Put(kind=PARCEL, key=key, value=write_parcel(changes), expected=0))
            self._note_received(target, source.number, last)
        answer = source.broker.apply([Change(records=records)], durable=False)[0]
        if isinstance(answer.refused, VersionConflict):
            raise Owing
        answer.or_raise()
        return [Remove(PARCEL, one.key) for one in records]

    def move(self, limit: int = 1000) -> bool:
        """Do what is owed, whoever died before it did; whether there is more."""
        more = False
        for source in self._shards:
            query = RecordQuery(kind=PARCEL, order="oldest", limit=min(limit, PAGE))
            page = source.broker.list_records(query)
            for record in page.records:
                self._move(source, record.key, record.value)
            more = more or page.next is not None
        return more

    def _move(self, source: Shard, key: str, value: str) -> None:
        number, last = map(int, key.split("/"))
        target = self._shards[number]

        def do(rows: Rows) -> None:
            if self._received(target, source.number) >= last:
                return
            for change in read_parcel(value):
                if isinstance(change, Noted):
                    rows.records.note_applied(*change)
                    continue
                if isinstance(change, Tree):
                    put_in(rows, [change], target.broker.core.now())
                    continue
                refused = target.broker.apply([change], durable=False)[0].refused
                if refused is not None:
                    log.error(
                        "file %d owed file %d a change since a process died between the two, and "
                        "it cannot be made any more: %s",
                        *(source.number, number, refused),
                    )
            self._note_received(target, source.number, last)

        target.store.transact(do, durable=True)
        source.broker.apply([Change(records=[Remove(PARCEL, key)])], durable=False)

    @staticmethod
    def _received(target: Shard, source: int) -> int:
        found = target.broker.records(RECEIVED, [str(source)]).get(str(source))
        return 0 if found is None else int(found.value)

    @staticmethod
    def _note_received(target: Shard, source: int, number: int) -> None:
        put = Put(kind=RECEIVED, key=str(source), value=str(number))
        target.broker.apply([Change(records=[put])], durable=False)[0].or_raise()


def _key(target: int, number: int) -> str:
    return f"{target}/{number:020d}"
