"""The broker verb for what must happen together, wherever it lies."""

from collections.abc import Sequence
from contextlib import suppress

from taskflow.broker.change import Applied, Change, Put, Remove, Send
from taskflow.broker.prompt import WouldWait
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.parcel import Noted
from taskflow.brokers.sharded.parcels import Owing, Parcels
from taskflow.brokers.sharded.publish import WHAT
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.brokers.sharded.shard import Shard, locked
from taskflow.brokers.sharded.slot_moves import SlotMoves
from taskflow.brokers.sharded.splitting import Splitting, join
from taskflow.brokers.stored.application import Answer, repeated, text_of
from taskflow.errors import BrokerError
from taskflow.limits import check_no_connection


class _Refused(Exception):
    """A part is refused, and so all are undone."""

    def __init__(self, why: BrokerError) -> None:
        super().__init__()
        self.why = why


class Applier:
    """Thread-safe. A change that lies in one file, as nearly all do, is one transaction there, with
    others of the same file.

    One that lies in several is made while all of them are locked, so that nobody sees a part of it,
    and every part is refused or none. They are committed one after the other, and the first of them
    holds what the others owe: whoever dies in between, it is made there by the next one who opens
    the broker or does its upkeep, and is done by then but for what it was to find as it was.
    """

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        receipts: Receipts,
        splitting: Splitting,
        parcels: Parcels,
        slot_moves: SlotMoves,
    ) -> None:
        self._steady, self._secure = course.steady, course.secure
        self._receipts = receipts
        self._shards = shards
        self._splitting = splitting
        self._parcels = parcels
        self._slot_moves = slot_moves

    def apply(
        self,
        changes: Sequence[Change],
        durable: bool = True,
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Applied]:
        """Make each change, or refuse it."""
        if connection is not None:
            check_no_connection(connection, WHAT)
        answers: dict[int, Applied] = {}
        while len(answers) < len(changes):
            left = [at for at in range(len(changes)) if at not in answers]
            answers.update(self._steady(lambda left=left: self._apply_some(changes, left, durable)))  # type: ignore[misc]
        return [answers[at] for at in range(len(changes))]

    def _apply_some(
        self, changes: Sequence[Change], left: Sequence[int], durable: bool
    ) -> dict[int, Applied]:
        """The first of those that are left, and with it those of the same file up to the next one
        that is of several: as many as are one transaction."""
        number, some = -1, dict[int, Change]()
        others = set[int]()
        for at in left:
            change = self._receipts.change(changes[at])
            if (other := self._slot_moves.instead(change)) is not None:
                change = other
            files = self._splitting.files(change)
            if len(files) > 1:
                if some:
                    break
                made = self._apply_across(change, files)
                return {at: made if other is None else self._slot_moves.answer(made)}
            if not some:
                number = next(iter(files))
            if files == {number}:
                some[at] = change
                if other is not None:
                    others.add(at)
        shard = self._shards[number]
        answers = shard.broker.apply(list(some.values()), durable=False)
        if durable:  # apart, since it may not be made again
            self._secure(shard)
        return {
            at: self._slot_moves.answer(made) if at in others else made
            for at, made in zip(some, answers, strict=True)
        }

    def _apply_across(self, change: Change, files: set[int]) -> Applied:
        shards = [self._shards[number] for number in sorted(files)]
        if shards[0].store.in_haste():  # what one owes the other is to be committed by itself
            raise WouldWait
        again = change.id is not None
        while True:
            try:
                answer, owed = locked(shards, lambda: self._make(change))
            except _Refused as refused:
                if again:  # perhaps by itself, being made in part by who died
                    again = False
                    self._parcels.move()
                    continue
                return Applied(refused=refused.why)
            except Owing:
                self._parcels.move()
                continue
            if owed is not None:
                source, gone = owed
                with suppress(MapChanged):  # it is made: upkeep finds that
                    source.broker.apply([Change(records=gone)], durable=False)
            return answer

    def _make(self, change: Change) -> tuple[Applied, tuple[Shard, Sequence[Remove]] | None]:
        """Make all parts; answers too what is to be removed, and where, when that is committed."""
        home = None
        if change.id is not None:
            home = self._shards[self._splitting.home_of(change.id)]
            if (known := self._known(home, change.id)) is not None:
                return repeated(known), None
        parts, later = self._splitting.split(change)
        deeds: dict[int, list[Change | Noted]] = {}
        made = {number: self._do(deeds, number, part.change()) for number, part in parts.items()}
        answer = join(change, parts, made)
        for at, then in later.items():
            if answer.counts[at] == 0:
                self._follow(deeds, then)
        if home is not None:
            deeds.setdefault(home.number, []).append(self._note(home, change, answer))
        owing = sorted(deeds)
        if len(owing) < 2:
            return answer, None
        source = self._shards[owing.pop()]  # the first to be committed
        others = {number: deeds[number] for number in owing}
        return answer, (source, self._parcels.note(source, others))

    @staticmethod
    def _known(home: Shard, id: str) -> str | None:
        return home.store.look(lambda rows: rows.records.applied(id, home.broker.core.now()))

    @staticmethod
    def _note(home: Shard, change: Change, made: Applied) -> Noted:
        """Note in its home that it was made; answers what it is to have of that."""
        sent = [list(some) for some in made.sent]
        answer = Answer(list(made.versions), list(made.counts), sent, list(made.settled))
        now = home.broker.core.now()
        noted = Noted(change.id or "", text_of(answer), now + change.remembered)
        home.store.transact(lambda rows: rows.records.note_applied(*noted))
        return noted

    def _do(self, deeds: dict[int, list[Change | Noted]], number: int, change: Change) -> Applied:
        answer = self._shards[number].broker.apply([change], durable=False)[0]
        if answer.refused is not None:
            raise _Refused(answer.refused)
        if any((change.keys, change.records, change.counters, change.sends, change.settlements)):
            deeds.setdefault(number, []).append(change)
        return answer

    def _follow(self, deeds: dict[int, list[Change | Noted]], then: Sequence[Put | Send]) -> None:
        """What happens since a count is 0."""
        change = Change(
            records=[one for one in then if isinstance(one, Put)],
            sends=[one for one in then if isinstance(one, Send)],
        )
        parts, _ = self._splitting.split(change)
        for number, part in parts.items():
            self._do(deeds, number, part.change())
