"""Where all who wait at a broker of several files wait: one bell, which says what rang in which."""

from collections.abc import Callable, Collection, Sequence

from taskflow import forking
from taskflow.brokers.stored.waiters import RECORD, Waiters
from taskflow.clock import Clock
from taskflow.stores.sqlite.store import SqliteStore

_AT = "@"  # in no queue's name


class Hub(forking.Forkable):
    """The waiters of the leader's file, at which all files ring. What rings there is a record, or a
    queue in a file: `work@3`."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.waiters = Waiters(store, clock, store.time(clock))
        forking.tell(self)

    def after_fork(self, child: bool) -> None:
        if child:  # nobody is parked here, and a thread that is not here may hold its lock
            self.waiters = Waiters(self._store, self._clock, self._store.time(self._clock))

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard(queues)` at each ring, whichever file it was in."""
        self.waiters.watch(lambda rung: heard({bare(name) for name in rung}))

    def reaches(self, number: int, queues: Sequence[str]) -> bool:
        """Tell other processes of something new in a file. False when nobody can hear it, now and
        as long as the folder of the files has no new entry."""
        return self._store.reaches([name_in(number, name) for name in queues])

    def attend(self) -> None:
        """As `Waiters`."""
        self.waiters.attend()

    def look_away(self) -> None:
        """As `Waiters`."""
        self.waiters.look_away()


def name_in(number: int, name: str) -> str:
    """What rings when something is new of this name in that file."""
    return name if name[:1] == RECORD else f"{name}{_AT}{number}"


def bare(name: str) -> str:
    """The name without the file."""
    return name if name[:1] == RECORD else name.rpartition(_AT)[0]
