"""A place for rows: transactions, the disk, who is told of changes."""

from collections.abc import Callable, Collection, Hashable
from typing import Protocol, TypeVar

from taskflow.clock import Clock
from taskflow.stores.rows import Rows

T = TypeVar("T")


class Store(Protocol):
    """A place for rows, shared by threads and perhaps by processes."""

    poll_interval: float | None
    """Look again this often (seconds) while waiting; None when nobody else can write."""
    durable: bool
    """Whether `sync` waits for the disk."""

    def transact(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
        alone: bool = False,
    ) -> T:
        """Run `work` in one transaction, which an exception undoes; answers what `work` did.

        `work` may be run again from the start, when what it had done was undone or is gone: it
        changes nothing but rows. `committed` is called with its answer when others can see it,
        before the wait for the disk that `durable` asks for, where the store was opened for that.
        Within another `transact` of the same thread it is a part of that one, and `committed`
        waits for it. `alone`: no other such work runs meanwhile, and what is kept of declarations
        is read anew: for what looks at declarations or moves, and then changes them.
        """
        ...

    def single(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        """As `transact` for a `work` whose verbs may each be a transaction of its own: what one of
        them fails at undoes only that one."""
        ...

    def step(self, work: Callable[[Rows], T], *, rung: bool = False) -> T:
        """Run `work`, which is one verb that is called a step of its own: the store needs no
        transaction around it. Within a `transact` of the same thread it is a part of that one.
        `rung`: a message has just been announced, and perhaps nobody has looked since."""
        ...

    def look(self, work: Callable[[Rows], T], *, kept: bool = False) -> T:
        """Run `work`, which changes nothing, without locking out writers. It may be run again.
        `kept`: of declarations it may be told what was so a moment ago, and of messages that came
        just now only `glance` and `next_due` may tell; what changes rows by it finds out."""
        ...

    def version(self) -> Hashable:
        """Equal to what it was before only if nobody has committed anything since."""
        ...

    def time(self, clock: Clock) -> Callable[[], float]:
        """What tells the time (epoch seconds) of all who share the store, by the clock here."""
        ...

    def sync(self, everybodys: bool = False) -> None:
        """Return when everything committed here so far survives a power cut, if the store was
        asked for that; with `everybodys`, what others committed and was seen here too. Raises
        FileReplaced as `check` does: no promise is made for what is gone."""
        ...

    def check(self) -> None:
        """Raise FileReplaced when the store has another file now than it had, having gone over to
        it."""
        ...

    def hurry(self) -> None:
        """Wait a second at most for a lock of another process, from now on."""
        ...

    def ring(self, queues: Collection[str]) -> None:
        """Tell listeners in other processes that these queues have something new."""
        ...

    def listen(self) -> None:
        """What other processes ring from now on is kept for `hear`, if this can be."""
        ...

    def ignore(self) -> None:
        """Nobody here wants to hear what others ring, until the next `listen`: who is in `hear`
        returns, and who rings need not ring here."""
        ...

    def hears(self) -> bool:
        """Whether it is: since `listen`, and until `close` (or `ignore`, which costs less to obey
        in some stores than in others)."""
        ...

    def hear(self, timeout: float | None) -> Collection[str] | None:
        """Wait until another process rings, and answer what it names. Empty after `wake`, and at
        once when nothing can be heard; None when `timeout` seconds passed first. One thread at a
        time."""
        ...

    def wake(self) -> None:
        """Let who is in `hear` return; if nobody is, the next one at once."""
        ...

    def close(self) -> None: ...
