"""Several calls as one transaction, begun by the first of them that changes something."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from taskflow.stores.sqlite.haste import Haste
from taskflow.stores.sqlite.transaction import Writing
from taskflow.uninterrupted import uninterrupted


class Gathering:
    """`with` it on the thread that makes the calls, which is in haste until the end: WouldWait
    comes out of a call that would wait for longer than `patience` (`Haste.patience`). Each call is
    a part of the transaction by itself, which its own error undoes; an error of the block undoes
    all. Calls that change nothing begin nothing, and lock out nobody.

    `wait` is what must be called, after the block and before anybody is told: until it returns,
    what was stored is not as safe as it shall be. None when there is nothing to wait for.
    """

    def __init__(
        self,
        writing: Writing,
        haste: Haste,
        patience: float | None,
        settle: Callable[[bool], Callable[[], None] | None],
    ) -> None:
        """`settle(durable)` is called when all is committed, and answers what to wait for."""
        self._writing = writing
        self._haste = haste
        self._patience = patience
        self._settle = settle
        self.wait: Callable[[], None] | None = None
        self.begins: Callable[[], None] | None = None
        """What to call before a transaction begins here."""

        self._begun = False

    @uninterrupted
    def __enter__(self) -> Self:
        self._begun = not self._writing.holds()
        self._haste.begin(self._patience)
        try:
            self._writing.gather(self.begins)
        except BaseException:
            self._haste.end()
            raise
        return self

    def begin_call(self) -> None:
        """Another call follows."""
        self._haste.changed = self._writing.touched = False

    def touched(self) -> bool:
        """Whether the call of now may have changed something here."""
        return self._writing.touched

    def rests(self) -> bool:
        """Whether something was changed that is not committed, by calls that are over here."""
        return self._writing.depth == 1

    @uninterrupted
    def end_part(self, error: BaseException | None = None) -> None:
        """Commit what was changed so far, or undo it for an error; more may follow."""
        if self._writing.end_part(error) and error is None:
            self._tell()

    @uninterrupted
    def abandon(self, error: BaseException) -> None:
        """The block has ended by this error. If Ctrl-C came while it began or ended, something of
        it may be left, which is undone."""
        if self._begun:
            self._writing.abandon_gathering(error)
            self._haste.end()

    def broken(self) -> bool:
        """Whether SQLite has undone all of it by itself, as it does when the disk is full."""
        return self._writing.broken()

    @uninterrupted
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._writing.end_gathering(error) and error is None:
                self._tell()
        finally:
            self._haste.end()

    def _tell(self) -> None:
        later, self._writing.later = self._writing.later, []
        for call in later:
            call()
        if (wait := self._settle(self._writing.owes)) is not None:  # for those before it, too
            self.wait = wait
