"""The broker verb for what must happen together: changes, each all or nothing."""

from collections import Counter
from collections.abc import Sequence

from taskflow.broker.change import (
    Applied,
    Change,
    Hide,
    Keep,
    Publish,
    Put,
)
from taskflow.brokers.stored.application import (
    Application,
    Filtered,
    check_fence,
    write_records,
)
from taskflow.brokers.stored.change_limits import check_change
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.ends import Ends, answers_of, make_ends, read_ends
from taskflow.brokers.stored.fanout import Wanted, has_filters
from taskflow.brokers.stored.finishing import Finishing, can_wait
from taskflow.brokers.stored.intake import HOUSEKEEPING, Intake
from taskflow.brokers.stored.joiner import Joiner
from taskflow.brokers.stored.like_changes import LikeChanges, are_alike
from taskflow.brokers.stored.plain_changes import PlainChanges
from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.stores.rows import Rows

_HIDING = (Hide, Keep)


class _Refused(Exception):
    """A change is refused, and was not made so that it alone could be undone. `why`, if that is
    known."""

    def __init__(self, why: BrokerError | None = None) -> None:
        self.why = why
        super().__init__()


class _Unlike(Exception):
    """One of some changes that are alike is refused, which is found out one by one."""


class Applier:
    """Thread-safe. What many changes ask for is one transaction: one wait for the disk for all.
    `plain`: a shorter way for checkpoints, where there is one."""

    def __init__(
        self, core: Core, intake: Intake, joiner: Joiner, plain: PlainChanges | None
    ) -> None:
        self._core = core
        self._plain = plain
        self._intake = intake
        self._joiner = joiner
        self._written = 0  # of records, keys and ids, since the last look for expired ones

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
            return self._joiner.apply(changes, connection, hold_group)
        if len(changes) == 1 and _only_keeps(changes[0]):
            return [self._keep(changes[0], durable)]
        if (ends := read_ends(changes)) is not None and self._end(changes, ends, durable):
            return answers_of(ends)
        # Filters are asked outside of the transaction, as by `publish`.
        wanted: dict[int, Wanted] = {}
        while True:
            try:
                return self._apply(changes, wanted, durable)
            except Filtered:
                wanted = self._ask_filters(changes)

    def _end(self, changes: Sequence[Change], ends: Ends, durable: bool) -> bool:
        """Make what are ends of runs. False when one is refused, which is found out one by one."""
        core = self._core
        core.settle(done.delivery for some in ends.finishes.values() for done in some)

        def work(rows: Rows) -> tuple[None, set[str]]:
            rings, now = set[str](), core.now()
            self._prepare(rows, changes, len(changes), now)
            try:
                made = make_ends(rows, ends, now, rings)
            except BrokerUnavailable:
                raise
            except BrokerError as refused:
                raise _Unlike from refused
            if not made:
                raise _Unlike
            return None, rings

        try:
            core.store.transact(work, durable=durable, committed=self._announce)
        except _Unlike:
            return False
        core.pass_versions(len(changes))
        return True

    def _keep(self, change: Change, durable: bool) -> Applied:
        """Make a change that writes records and nothing else, as nearly every step of a workflow
        does. It is alone, so that what refuses it may undo the transaction."""
        core, fence, plain = self._core, change.fence, self._plain
        written = self._written + len(change.records)
        if (
            plain is not None
            and written < HOUSEKEEPING
            and (made := plain.make(change, durable=durable)) is not None
        ):
            self._written = written
            return made

        def work(rows: Rows) -> tuple[Sequence[int], set[str]]:
            now, rings = core.now(), set[str]()
            self._prepare(rows, (change,), _written((change,)), now)
            if plain is not None and (made := plain.make_within(change, now)) is not None:
                return made.versions, rings
            try:
                check_change(change)
                if fence is not None:
                    check_fence(rows, fence, now)
                    if plain is not None:
                        plain.learn(rows, change)
                versions = write_records(rows, change.records, core.fresh_version, now, rings)
            except BrokerUnavailable:
                raise
            except BrokerError as refused:
                raise _Refused(refused) from refused
            return versions, rings

        try:
            versions, _ = core.store.transact(work, durable=durable, committed=self._announce)
        except _Refused as refused:
            return Applied(refused=refused.why)
        return Applied(versions=versions)

    def _prepare(self, rows: Rows, changes: Sequence[Change], written: int, now: float) -> None:
        """What comes before all changes of a transaction, which write about so much."""
        if not rows.records.one_writer and (names := _names(changes)):
            rows.records.lock(names)
        self._written += written
        if self._written >= HOUSEKEEPING:  # as many go, in time, as come
            rows.records.expire(now, 2 * self._written)
            self._written = 0

    def _announce(self, found: tuple[object, set[str]]) -> None:
        if found[1]:
            self._core.waiters.announce(found[1])

    def _ask_filters(self, changes: Sequence[Change]) -> dict[int, Wanted]:
        """What the filters of all that is published say, as the subscriptions are now."""
        published = [
            send for change in changes for send in change.sends if isinstance(send, Publish)
        ]
        topics = {send.topic for send in published}
        targets = self._core.store.look(
            lambda rows: {topic: rows.subscribed(topic) for topic in topics}
        )
        return {
            id(send): Wanted(targets[send.topic], send.messages)
            for send in published
            if has_filters(targets[send.topic])
        }

    def _apply(
        self, changes: Sequence[Change], wanted: dict[int, Wanted], durable: bool
    ) -> list[Applied]:
        core, plain = self._core, self._plain
        core.settle(one.delivery for change in changes for one in change.settlements)
        waits = can_wait(changes)
        alike, careful = _gathered(changes, waits), False
        if alike is None and plain is not None:
            plain.prepare(changes)
        written = _written(changes)

        def work(rows: Rows) -> tuple[list[Applied], set[str]]:
            rings: set[str] = set()
            handled: Counter[int] = Counter()
            now = core.now()
            self._prepare(rows, changes, written, now)
            finishing = Finishing() if waits and not careful else None
            answers: list[Applied] = []
            if alike is not None:
                self._make_alike(rows, alike, now)
                rings, finishing = set(alike.rings), alike.finishing
            for change in changes if alike is None else ():
                if plain is not None and (made := plain.make_within(change, now)) is not None:
                    answers.append(made)
                    continue
                one = Application(rows, change, self._intake, wanted, now, core.fresh_version)
                one.fenced_first, one.finishing = careful, finishing
                try:
                    answer = rows.undoing(one.make) if careful else one.make()
                except BrokerUnavailable:
                    raise
                except BrokerError as refused:
                    if not careful:
                        raise _Refused from refused
                    answer = Applied(refused=refused)
                else:
                    if plain is not None:
                        plain.learn(rows, change)
                    rings |= one.rings
                    if one.handled:
                        handled.update(one.handled)
                answers.append(answer)
            if finishing is not None and not finishing.make(rows, now, handled, rings):
                raise _Refused  # one lost its lease: perhaps the fence of its change
            for queue, count in handled.items():
                rows.tally(queue, count, 0)
            return answers, rings

        while True:
            try:
                answers, _ = core.store.transact(work, durable=durable, committed=self._announce)
                break
            except _Unlike:
                alike = None
            except _Refused:  # as few are: once more, so that it can be undone by itself
                alike, careful = None, True
        if alike is not None:
            return alike.answers()
        now = core.now()
        for change, answer in zip(changes, answers, strict=True):
            for entry, ok in zip(change.settlements, answer.settled, strict=False):
                if ok and isinstance(entry, _HIDING) and not answer.repeated:
                    entry.delivery.visible_at = now + entry.seconds
        return answers

    def _make_alike(self, rows: Rows, alike: LikeChanges, now: float) -> None:
        core = self._core
        try:
            made = alike.make(rows, self._intake, core.fresh_version, now)
        except BrokerUnavailable:
            raise
        except BrokerError as refused:
            raise _Unlike from refused
        if not made:
            raise _Unlike


def _gathered(changes: Sequence[Change], waits: bool) -> LikeChanges | None:
    """Those that can be made together. None when they cannot, or when one of them is refused."""
    if not are_alike(changes, waits):
        return None
    try:
        return LikeChanges(changes)
    except BrokerError:
        return None


def _written(changes: Sequence[Change]) -> int:
    """How many records, keys and ids they write, about."""
    return sum(
        (one.id is not None)
        + len(one.keys)
        + len(one.records)
        + sum(1 + len(add.then) for add in one.counters)
        for one in changes
    )


def _only_keeps(change: Change) -> bool:
    """Whether it writes records, and does nothing else."""
    return not (
        change.settlements
        or change.sends
        or change.counters
        or change.keys
        or change.id is not None
    )


def _names(changes: Sequence[Change]) -> list[str]:
    """Of all that they are about to change beside messages."""
    names = []
    for change in changes:
        if change.id is not None:
            names.append(f"change/{change.id}")
        names += [f"key/{key.key}" for key in change.keys]
        then = [one for add in change.counters for one in add.then if isinstance(one, Put)]
        written = (*change.records, *change.counters, *then)
        names += [f"record/{one.kind}/{one.key}" for one in written]
    return names
