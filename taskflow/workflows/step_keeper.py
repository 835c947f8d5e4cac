"""Keeping the steps of coroutines: those that end at the same time in one transaction."""

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary

from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change
from taskflow.broker.prompt import Gathered
from taskflow.errors import BrokerError
from taskflow.workflows.ended_step import EndedStep, tell
from taskflow.workflows.group_commit import group_of
from taskflow.workflows.interrupted import Interrupted
from taskflow.workflows.journal import Journal
from taskflow.workflows.step_run import StepRun

MOST = 50
"""Steps that are kept on the loop in one go: so long it stands still."""

Made = Applied | Exception


class StepKeeper:
    """Of one broker and one event loop, on which it is called.

    Where nothing is to be waited for, the loop itself makes the transaction: that is shorter than
    to hand it over. Else a thread does, and whatever comes meanwhile waits for that one: two would
    take the locks of the same runs, each in its own order. Where the disk is waited for
    (`durability=power`), it always is a thread, from the second time on: what the loop had
    committed would count as kept before it is on disk.
    """

    def __init__(self) -> None:
        self._ended: list[EndedStep] = []
        self._left: list[EndedStep] = []  # for a thread
        self._finishing: Task[None] | None = None
        self._syncs = False  # whether the disk is to be waited for

    def keep(self, step: StepRun, result: bytes) -> Future[None]:
        """Keep what a step returned, with all that it sent; done when that is on disk. Raises as
        `Journal.flush`."""
        loop = asyncio.get_running_loop()
        one = EndedStep(step, result, loop.create_future())
        if not self._ended:
            loop.call_soon(self._turn, loop)
        self._ended.append(one)
        return one.kept

    def _turn(self, loop: AbstractEventLoop) -> None:
        """Keep those that have ended by now."""
        some, self._ended = self._ended[:MOST], self._ended[MOST:]
        if self._ended:
            loop.call_soon(self._turn, loop)
        broker = some[0].step.journal.broker

        def apply(changes: Sequence[Change]) -> Sequence[Made]:
            made, wait = group_of(broker).at_once(cast(Gathered, broker), changes)
            if wait is not None:
                self._syncs = True
                wait()  # once, here: nobody may see them as kept before
            return made

        if isinstance(broker, Gathered) and not self._syncs:
            kept, some = _keep(some, apply, waits=False)
            tell(kept)
        self._left += some
        if self._left and self._finishing is None:
            self._finishing = loop.create_task(self._finish(broker))

    async def _finish(self, broker: Broker) -> None:
        """What takes its time."""
        apply = partial(group_of(broker).apply_all, broker)
        try:
            while self._left:
                some, self._left = self._left, []
                kept, again = await asyncio.to_thread(_keep, some, apply, waits=True)
                self._left[:0] = again
                tell(kept)
        finally:
            self._finishing = None


def _keep(
    some: Sequence[EndedStep], apply: Callable[[Sequence[Change]], Sequence[Made]], *, waits: bool
) -> tuple[list[EndedStep], list[EndedStep]]:
    """Keep these, each run's together; answers those of which it is known now what became of them,
    and the others. `waits`: for locks, and for what more there is to be asked."""
    over: list[EndedStep] = []
    left: list[EndedStep] = []
    asked: dict[Journal, list[EndedStep]] = {}
    with ExitStack() as locks:
        for one in some:
            journal = one.step.journal
            if journal not in asked:
                if not journal.lock.acquire(blocking=waits):
                    left.append(one)
                    continue
                locks.callback(journal.lock.release)
                asked[journal] = []
            one.note()
            asked[journal].append(one)
        changes = []
        for journal, ended in list(asked.items()):
            try:
                if (change := journal.begin_flush()) is not None:
                    changes.append(change)
                    continue
            except Interrupted as error:
                for one in ended:
                    one.error = error
            over += asked.pop(journal)
        try:
            made = apply(changes) if changes else ()
        except BaseException as error:
            alike = [one for ended in asked.values() for one in ended]
            if isinstance(error, Exception) and not waits:
                return over, [*left, *alike]  # in a thread it can wait, and is told why not
            for one in alike:
                one.error = error
            return [*over, *alike], left
        for (journal, ended), answer in zip(asked.items(), made, strict=True):
            try:
                again = _again(journal, answer, waits)
            except BaseException as error:
                again = False
                for one in ended:
                    one.error = error
            (left if again else over).extend(ended)
    return over, left


def _again(journal: Journal, answer: Made, waits: bool) -> bool:
    """Whether a run's change is to be made once more. Raises why it cannot be."""
    if isinstance(answer, BrokerError):
        raise journal.break_off(answer) from answer
    if isinstance(answer, Exception):
        raise answer
    if answer.refused is not None and not waits:
        return True
    return not journal.flushed(answer)


_keepers: WeakKeyDictionary[AbstractEventLoop, WeakKeyDictionary[Broker, StepKeeper]] = (
    WeakKeyDictionary()
)


def keeper_of(broker: Broker) -> StepKeeper:
    """The one of a broker and the running loop, for as long as both are there."""
    here = _keepers.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    found = here.get(broker)
    return here.setdefault(broker, StepKeeper()) if found is None else found
