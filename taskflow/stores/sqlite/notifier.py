"""Telling other processes of changes, and being told: the doorbell of the file that is open."""

from collections.abc import Collection
from pathlib import Path

from taskflow.stores.sqlite.doorbell import Doorbell


class Notifier:
    """Of one store, over all files that its path comes to mean: who listens goes on at the new one.
    In a fork nobody listens at first. Without a file nobody is told and nothing is heard.
    """

    def __init__(self) -> None:
        self._bell: Doorbell | None = None
        self._listens = False

    def open(self, real: Path) -> None:
        """Rings go to those beside this file from now on. (What was left for a fork may have been
        another one, if a link was turned.)"""
        before = self._bell
        bell = before if before is not None and before.database == real else Doorbell(real)
        self._bell = bell
        if self._listens:
            bell.listen()
        if before is not None and before is not bell:
            before.close()  # last: who hears there goes on here

    def leave(self) -> Doorbell | None:
        """The file is another one. Close this doorbell when that one is open: until then who hears
        has nowhere to go on."""
        bell, self._bell = self._bell, None
        return bell

    def begin_in_child(self) -> None:
        """This is a fork: the parent's bell stays where it is."""
        if self._bell is not None:
            self._bell = self._bell.in_child()
        self._listens = False

    def close(self) -> None:
        """Take the own bell down, for good."""
        if self._bell is not None:
            self._bell.close()

    def ring(self, queues: Collection[str]) -> None:
        """As `Store.ring`."""
        self.reaches(queues)

    def reaches(self, queues: Collection[str]) -> bool:
        """As `ring`. False when nobody else can hear it, now and as long as the folder of the file
        has no new entry; while there is no bell nobody can say that."""
        return self._bell is None or self._bell.ring(queues)

    def listen(self) -> None:
        """As `Store.listen`."""
        self._listens = True
        if self._bell is not None:
            self._bell.listen()

    def ignore(self) -> None:
        """As `Store.ignore`."""
        self._listens = False
        if self._bell is not None:
            self._bell.take_down()

    def hears(self) -> bool:
        """As `Store.hears`."""
        return self._bell is not None and self._bell.hears()

    def hear(self, timeout: float | None) -> Collection[str] | None:
        """As `Store.hear`."""
        bell = self._bell
        return () if bell is None else bell.hear(timeout)

    def wake(self) -> None:
        """As `Store.wake`."""
        if (bell := self._bell) is not None:
            bell.wake()
