"""The broker verbs that receive: long polls, and when there will be something."""

from collections.abc import Callable, Collection, Hashable, Sequence

from taskflow.broker.settings import Holding
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.lending import Lending
from taskflow.brokers.stored.lookup import find_queue
from taskflow.limits import check_receive
from taskflow.message import Delivery
from taskflow.stores.lender import NEVER
from taskflow.stores.row import QueueRow
from taskflow.stores.rows import Outdated, Rows


class Receiver:
    """Thread-safe: every caller has its own look, and waits by itself."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lending = Lending(core.random, core.mark)
        self.draw = self._lending.draw
        """The random bits of the next receipt, for who lends beside it."""
        self._known: dict[str, QueueRow] = {}  # as last looked at

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
        holding: Holding | None = None,
    ) -> list[Delivery]:
        """Lend due messages, or wait for some."""
        check_receive(queues, limit, wait, visibility)
        core = self._core
        deadline = core.now() + wait
        if wait:
            core.waiters.listen()
        before: list[int] = []
        version: Hashable = None
        rung = core.waiters.rung(queues)
        while True:
            if before and attempt is None:
                rang = [name for at, name in enumerate(queues) if rung[at] != before[at]]
                if len(rang) == 1 and (
                    one := self.take_lone(rang[0], visibility, holding, rung=True)
                ):
                    return [one]
            before = rung
            looked_at = core.now()
            if taken := self.take(queues, limit, visibility, attempt, holding):
                return taken
            until = deadline
            if wait and (due := self.next_due_after(queues, looked_at)) is not None:
                until = min(until, due)
            while True:
                core.store.check()
                if core.now() >= deadline or not core.waiters.park(queues, rung, until, stop):
                    return []
                rung = core.waiters.rung(queues)
                if rung != before or core.now() >= until:
                    break
                # It was only time to look again, and mostly nobody has done anything.
                seen, version = version, core.store.version()
                if version != seen:
                    break

    def take_lone(
        self, name: str, visibility: float | None, holding: Holding | None, rung: bool = False
    ) -> Delivery | None:
        """The message of a queue that has just `rung`, or was seen, when it is alone there; others
        that are asked had nothing before. None is no answer: look."""
        core, queue = self._core, self._known.get(name)
        if queue is None:
            return None
        now = core.now()
        lent, finished = core.store.step(
            lambda rows: self._lending.lend_lone(rows, queue, visibility, now, holding), rung=rung
        )
        if lent is not None and not finished:
            core.unfinished = {(name, lent.receipt): lent.visible_at}
        return lent

    def take(
        self,
        queues: Sequence[str],
        limit: int,
        visibility: float | None,
        attempt: str | None,
        holding: Holding | None,
    ) -> list[Delivery]:
        """Lend due messages, if there are any."""
        while True:
            try:
                return self._try_to_take(queues, limit, visibility, attempt, holding)
            except Outdated:
                continue  # a queue has just been changed: by its new row

    def _try_to_take(
        self,
        queues: Sequence[str],
        limit: int,
        visibility: float | None,
        attempt: str | None,
        holding: Holding | None,
    ) -> list[Delivery]:
        core = self._core

        def look(rows: Rows) -> tuple[list[QueueRow], int, bool]:
            found = [find_queue(rows, name) for name in queues]
            now, due, seen = core.now(), [], 0
            for row in found:
                self._note(row)
                if not row.paused and (some := rows.glance(row, now)):
                    due.append(row)
                    seen += some
            return due, seen, any(row.paused for row in found)

        # An empty look costs no lock.
        found: list[QueueRow] = []
        if attempt is None:
            found, seen, paused = core.store.look(look, kept=True)
            if paused:  # nothing that is done by this would show that it holds no longer
                found, seen, _ = core.store.look(look)
            if not found:
                return []
            if seen == 1 and (one := self.take_lone(found[0].name, visibility, holding)):
                return [one]

        def take(rows: Rows) -> tuple[list[Delivery], set[str], bool]:
            taken: list[Delivery] = []
            unfinished: dict[tuple[str, str], float] = {}
            woken: set[str] = set()
            more = False
            now, held = core.now(), holding
            chosen = found
            if attempt is not None:
                chosen = [find_queue(rows, name) for name in queues]
                chosen = [row for row in chosen if not row.paused]
            for queue in chosen:
                if len(taken) >= limit or (taken and taken[-1].suspect):
                    break
                lent, stopped, new = self._lending.lend(
                    rows, queue, limit - len(taken), visibility, now, attempt, woken, held
                )
                taken += lent
                for one in lent:
                    if one.sequence in new:
                        unfinished[queue.name, one.receipt] = one.visible_at
                more = more or stopped
                if held is not None and taken:  # no suspect comes along with others
                    held = Holding(len(taken), 1, held.limits)
            core.unfinished = unfinished
            return taken, woken, more

        # Of standard queues each step may stand for itself: what is lent is lent.
        ordered = attempt is not None or any(row.fifo for row in found)
        run = core.store.transact if ordered else core.store.single
        while True:
            taken, woken, more = run(take)
            if woken:
                core.waiters.announce(woken)
            if taken or not more:
                return taken

    def _note(self, queue: QueueRow) -> None:
        """Keep in mind the queues of which a lone message may be lent."""
        if queue.fifo or queue.paused:
            self._known.pop(queue.name, None)
        else:
            self._known[queue.name] = queue

    def next_due(self, *queues: str) -> float | None:
        """When the next hidden message becomes visible."""
        return self.next_due_after(queues, self._core.now())

    def first_due(self, queue: str) -> float | None:
        """When the first message of a queue becomes visible, or has."""
        return self.next_due_after([queue], NEVER)

    def next_due_after(self, queues: Sequence[str], now: float) -> float | None:
        """The first time after `now` at which there is more; perhaps it has come meanwhile."""

        def look(rows: Rows) -> list[float | None]:
            found = [find_queue(rows, name) for name in queues]
            return [rows.next_due(queue, now) for queue in found if not queue.paused]

        times = self._core.store.look(look, kept=True)
        return min((time for time in times if time is not None), default=None)

    def wake(self) -> None:
        """Let parked receives look at their `stop`."""
        self._core.waiters.wake()

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Hear of every ring."""
        self._core.waiters.watch(heard)

    def attend(self) -> None:
        """Of other processes, too."""
        self._core.waiters.attend()

    def look_away(self) -> None:
        """Not of other processes."""
        self._core.waiters.look_away()
