"""RemoteState: the state of the AWS broker in a place that its hosts share."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random

from taskflow import forking
from taskflow.broker.change import Applied, Change
from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.brokers.stored.change_limits import check_change
from taskflow.brokers.stored.record_pages import changed, check_page, make_page
from taskflow.clock import Clock
from taskflow.condition import Condition
from taskflow.coordination.change_plan import ChangePlan, alive, names_of
from taskflow.coordination.record_store import Contended, Names, RecordStore, Things
from taskflow.errors import BrokerError, BrokerUnavailable, ChangeRefused
from taskflow.uninterrupted import uninterrupted

TRIES = 12  # of a change whose records somebody else keeps changing
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two tries, a random part of it
FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0  # seconds between two looks at what is waited for
SWEEP = 60.0  # seconds between two removals of what has expired
_VERSION_BITS = 31
_TURNS = 1_000_000 << 11  # numbers of a second: microseconds, and 2,048 of each


class RemoteState:
    """The contract is `state.State`. Thread-safe.

    Who waits for a record looks again after a twentieth of a second, then less and less often, once
    a second in the end; a change by this process is seen at once."""

    def __init__(self, store: RecordStore, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._changed: Condition
        self._changes = 0
        self._last_turn = 0
        self._swept = clock.now()
        self._turns: threading.Lock
        self._crowded: threading.Lock  # who was too late goes on one by one
        forking.anew(self, _changed=Condition, _turns=threading.Lock, _crowded=threading.Lock)

    # ---- changes ----------------------------------------------------------------------------
    @uninterrupted
    def apply(self, changes: Sequence[Change], durable: bool = True) -> list[Applied]:
        answers = []
        for change in changes:
            try:
                answers.append(self._apply(change))
            except BrokerUnavailable:
                raise
            except BrokerError as refused:
                answers.append(Applied(refused=refused))
        return answers

    def _apply(self, change: Change) -> Applied:
        check_change(change)
        names = names_of(change)
        plan = self._try(change, names)
        if plan is None:
            with self._crowded:
                plan = self._try_again(change, names)
        if plan.written.records:
            with self._changed:
                self._changes += 1
                self._changed.notify_all()
        return plan.answer

    def _try_again(self, change: Change, names: Names) -> ChangePlan:
        pause = FIRST_PAUSE
        for _ in range(TRIES - 1):
            self._rest(self._random.uniform(0.0, pause))
            pause = min(2 * pause, LONGEST_PAUSE)
            if (plan := self._try(change, names)) is not None:
                return plan
        first = next((f"{kind} {key!r}" for kind, key in names.records), "its keys")
        raise BrokerUnavailable(
            f"a change of {first} met another's {TRIES} times while it was being written"
        )

    def _rest(self, seconds: float) -> None:
        condition = threading.Condition()
        with condition:
            self._clock.wait(condition, seconds)

    def _try(self, change: Change, names: Names) -> ChangePlan | None:
        """What was made of a change; None when others were faster."""
        plan: ChangePlan | None = None

        def decide(seen: Things) -> Things:
            nonlocal plan
            plan = ChangePlan(change, seen, self._clock.now(), self._fresh, self._turn)
            return plan.work_out()

        try:
            self._store.change(names, decide)
        except Contended:
            return None
        except ChangeRefused:
            # Another may have made it just now, and what was read may be half of that.
            if change.id is not None and self.was_applied(change.id):
                return None
            raise
        return plan

    def _fresh(self) -> int:
        """A version for a record that is new: one that no record of its key had, in effect."""
        return self._random.getrandbits(_VERSION_BITS) << 20 | 1

    def _turn(self) -> int:
        """The number of a record that is new: after all others of this process, and after those of
        other hosts that were made before, as far as clocks agree."""
        with self._turns:
            now = int(self._clock.now() * _TURNS) | self._random.getrandbits(11)
            self._last_turn = max(self._last_turn + 1, now)
            return self._last_turn

    def was_applied(self, id: str) -> bool:
        note = self._store.read(Names(changes=[id])).changes.get(id)
        return note is not None and note.expires_at > self._clock.now()

    # ---- looks ------------------------------------------------------------------------------
    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]:
        names = sorted({(kind, key) for key in keys})
        found, now = self._store.read(Names(names)).records, self._clock.now()
        return {
            key: kept.record
            for (_, key), kept in found.items()
            if kept is not None and alive(kept.record.expires_at, now)
        }

    def list_records(self, query: RecordQuery) -> RecordPage:
        found = self._store.select(query, check_page(query), self._clock.now())
        return make_page(query, [(one.number, one.record) for one in found])

    def count_records(self, kind: str, label: str | None = None) -> dict[str, int]:
        return self._store.count_by_state(kind, label, self._clock.now())

    def secure(self) -> None:
        """What was read is as safe as the place makes it."""

    def holders(self, keys: Collection[str]) -> dict[str, str]:
        found, now = self._store.read(Names(keys=sorted(set(keys)))).keys, self._clock.now()
        return {
            key: held.holder
            for key, held in found.items()
            if held is not None and alive(held.until, now)
        }

    # ---- waiting ----------------------------------------------------------------------------
    def wait_record(
        self,
        kind: str,
        key: str,
        seen: int,
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> Record | None:
        news = self.wait_records(kind, {key: seen}, wait, stop)
        return news[key] if news else self.records(kind, [key]).get(key)

    def wait_records(
        self,
        kind: str,
        seen: Mapping[str, int],
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Record | None]:
        deadline, look = self._clock.now() + wait, FIRST_LOOK
        while True:
            with self._changed:
                before = self._changes
            if news := changed(self.records(kind, seen), seen):
                return news
            left = deadline - self._clock.now()
            if left <= 0 or not self._park(before, min(look, left), stop):
                return {}
            look = min(1.5 * look, LONGEST_LOOK)

    def _park(self, before: int, seconds: float, stop: Callable[[], bool] | None) -> bool:
        """Wait for a change by this process, or so long; False when `stop` says so."""
        with self._changed:
            if stop is not None and stop():
                return False
            if self._changes == before:
                self._clock.wait(self._changed, seconds)
            return stop is None or not stop()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # ---- keeping ----------------------------------------------------------------------------
    def upkeep(self, limit: int) -> bool:
        now = self._clock.now()
        if not 0 <= now - self._swept < SWEEP:
            if self._store.expire(now, limit) >= limit:
                return True
            self._swept = now
        return False

    def close(self) -> None:
        self._store.close()
