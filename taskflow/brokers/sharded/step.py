"""One step from a map to the next: places that go from a file to another, or another number of
files."""

from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from taskflow.broker.change import Put, Remove
from taskflow.broker.record import RecordQuery
from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.parcels import PARCEL, RECEIVED, Owing
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.sharded.shard_map import SHARD, Leaving, ShardMap, read_map, write_map
from taskflow.brokers.stored.handover import check_none_leaves
from taskflow.errors import BrokerFileError
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.placed import PlacedRows
from taskflow.stores.sqlite.rows import SqliteRows

LEASE = "shard-lease"
"""The kind of the records of leases that were moved: the key is the receipt that was given, the
value the one of now."""
KEPT = (SHARD, PARCEL, RECEIVED)
"""What a file has for itself."""
_ANY_PARCEL = RecordQuery(kind=PARCEL, limit=1)
_LEASES_KEPT = 13 * 3600.0
"""Seconds; a lease ends twelve hours after it was given."""


class Step:
    """In three transactions, each on disk before the next. In the first the source alone says what
    it gives up, and is of the new epoch: nobody uses it from then on before the step is done. In
    the second the target gets what leaves, and all the others the new map. In the third the source
    forgets. Whoever dies after the first leaves the rest to the next who opens the broker or comes
    to the source: it is owned by the source until the second is committed, and then by the target,
    to which nobody goes before."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement

    def begin(
        self,
        shards: Sequence[Shard],
        source: int,
        known: ShardMap,
        change: Callable[[ShardMap], ShardMap],
        leaving: Leaving,
    ) -> None:
        """The first. `change` makes the next map of the known one. Raises MapChanged when it is not
        that of now, Owing when something is under way between two files, and ConfigError when
        it is on its way to another broker."""

        def begin() -> None:
            for shard in shards:
                found = shard.store.look(read_map)
                if found is None or found.epoch != known.epoch or found.leaving is not None:
                    raise MapChanged
                if shard.store.look(lambda rows: rows.records.select(_ANY_PARCEL, None, 0.0)):
                    raise Owing
                check_all_stay(shard)
            check_all_there(shards)
            said = msgspec.structs.replace(
                change(known).of(source), epoch=known.epoch + 1, leaving=leaving
            )
            _write(shards[source], said)

        locked(shards, begin, alone=True)

    def end(self, shards: Sequence[Shard]) -> None:
        """The second and the third, as far as they are not done. `shards` are the files of the
        step. Raises MapChanged when it is another one by now, which may be of more files: nothing
        would come to those, and the source would forget what it has for them. Raises
        BrokerFileError for a file whose name means another one than is open."""
        done = locked(shards, lambda: self._hand_over(shards), alone=True)
        if done is not None:
            source, epoch = done
            for shard in shards:
                shard.store.sync_file()
            shards[source].store.transact(lambda rows: _forget(rows, shards[source], epoch))

    def _hand_over(self, shards: Sequence[Shard]) -> tuple[int, int] | None:
        maps = [shard.store.look(read_map) for shard in shards]
        found = next((one for one in maps if one is not None and one.leaving is not None), None)
        if found is None or found.leaving is None:
            return None
        leaving = found.leaving
        if len(shards) != leaving.files:
            raise MapChanged  # another step than that for which these files were opened
        check_all_there(shards)
        self._agreement.mend()  # a new file knows no queues
        source = shards[found.number]
        source.store.sync_file()  # what it said
        for shard, old in zip(shards, maps, strict=True):
            if old is None or old.epoch >= found.epoch:
                continue
            if shard.number == leaving.target:
                _move(source, shard, leaving, shards)
            _write(shard, found.of(shard.number))
        return source.number, found.epoch


def _write(shard: Shard, said: ShardMap) -> None:
    def write(rows: Rows) -> None:
        shard.fence.forget()
        write_map(rows, said, shard.broker.core.now())

    shard.store.transact(write)


def check_all_there(shards: Sequence[Shard]) -> None:
    """Raise BrokerFileError when a name means another file than is open by now: what is written
    there is lost. While the leader is locked none is made or removed."""
    for shard in shards:
        if not shard.store.is_there():
            raise BrokerFileError(
                f"file {shard.number} of the broker was removed or replaced while it was open"
            )


def check_all_stay(shard: Shard) -> None:
    """Raises ConfigError while messages leave a file for another broker: they would have to be
    found again by whoever ends that."""
    now = shard.broker.core.now()
    shard.store.transact(lambda rows: check_none_leaves(rows, now))


def placed(rows: Rows) -> PlacedRows:
    """What only SQLite has."""
    return cast(SqliteRows, rows).placed


def _move(source: Shard, target: Shard, leaving: Leaving, shards: Sequence[Shard]) -> None:
    content = source.store.look(lambda rows: placed(rows).find(leaving.places, _kept(leaving)))
    now = target.broker.core.now()

    current: list[str] = []

    def put(rows: Rows) -> None:
        for one in placed(rows).put(content):
            record = Put(
                kind=LEASE,
                key=f"{source.number}/{one.before}.{one.lease}",
                value=f"{target.number}/{one.after}.{one.lease}",
                expires_at=now + _LEASES_KEPT,
            )
            rows.records.put(record, 1, now)
            current.append(record.value)

    target.store.transact(put)

    def forget(rows: Rows) -> None:
        for receipt in current:
            rows.records.remove(Remove(kind=LEASE, key=receipt), now)

    for shard in shards if current else ():  # of what is back, nobody is to look further
        shard.store.transact(forget)


def _forget(rows: Rows, source: Shard, epoch: int) -> None:
    found = read_map(rows)
    if found is None or found.epoch != epoch or found.leaving is None:
        return  # somebody else did
    leaving = found.leaving
    if leaving.target is not None:
        placed(rows).drop(leaving.places, _kept(leaving))
    source.fence.forget()
    write_map(rows, found.of(source.number), source.broker.core.now())


def _kept(leaving: Leaving) -> Sequence[str]:
    return KEPT if leaving.places is None else (*KEPT, LEASE)
