"""Requests of one turn of the event loop, done in one transaction, with one wait for the disk."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import compress
from typing import Any, TypeVar

from taskflow.broker.prompt import Gathered, Outcome, PartlyUnsafe, WouldWait
from taskflow.errors import FileReplaced
from taskflow.server.pace import Pace

log = logging.getLogger("taskflow.server")

T = TypeVar("T")

Verb = Callable[[], Any]
Done = Callable[[Any, Exception | None], None]
Entry = tuple[Verb, Done]
Unsafe = tuple[Sequence[Entry], Sequence[Outcome], Callable[[], None]]

PATIENCE = 0.2
"""Seconds that a round waits for a lock, in a thread; then what it wanted is done one by one."""


class Rounds:
    """Used on one event loop.

    What is added in one turn of the loop is one round: one transaction, of which each verb is a
    part that fails alone. Nobody is told before all is committed, and on disk where the broker
    promises it. The round is done on the loop, unless another process or a thread has the lock for
    longer than a moment: then in one thread, while whatever comes meanwhile gathers for the next.
    (A thread for each would only have them wait for each other.) The loop waits for the disk itself
    while that is quick. What is committed is never called again, though the disk may have failed.
    """

    def __init__(self, broker: Gathered, threads: Executor, pace: Pace) -> None:
        self._broker = broker
        self._threads = threads
        self._pace = pace
        self._waiting: list[Entry] = []
        self._unsafe: list[Unsafe] = []
        self._syncs = False  # whether a thread waits for the disk
        self._due = False
        self.number = 0
        """Of the round that gathers now."""
        self.busy = False
        """Whether a round is in a thread: what is added waits for its end."""

    def add(self, verb: Verb, done: Done) -> None:
        """Call `verb` in the next round, on the loop or in a thread, then `done` on the loop with
        its answer or its error; with both when it is committed and the disk failed to sync it.
        WouldWait is no error of a verb: it is called again."""
        self._waiting.append((verb, done))
        if not self._due and not self.busy:
            self._due = True
            asyncio.get_running_loop().call_soon(self._run)

    async def do(self, verb: Callable[[], T], *, would_wait: bool = False) -> T:
        """What the verb answers in a round, or raises. `would_wait`: it was tried on the loop."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((verb, partial(_settle, future)))
        if not self.busy:
            self._hand_over() if would_wait else self._run()
        return await future

    def _take(self) -> Sequence[Entry]:
        entries, self._waiting = self._waiting, []
        self.number += 1
        return entries

    def _run(self) -> None:
        self._due = False
        if self.busy or not self._waiting:
            return
        entries = self._take()
        try:
            outcomes, wait = self._broker.gathered([verb for verb, _ in entries])
        except (WouldWait, FileReplaced):
            self._waiting = [*entries]
            self._hand_over()
        except Exception:
            self._do_alone(entries)
        else:
            if wait is None:
                self._finish(entries, outcomes)
            elif self._pace.quick:
                self._tell_after(entries, outcomes, wait)
            else:
                self._unsafe.append((entries, outcomes, wait))
                if not self._syncs:
                    self._sync()

    def _tell_after(
        self, entries: Sequence[Entry], outcomes: Sequence[Outcome], wait: Callable[[], None]
    ) -> None:
        try:
            self._pace.timed(wait)
        except Exception as error:
            outcomes = _unsynced(outcomes, error)
        self._finish(entries, outcomes)

    def _sync(self) -> None:
        """Wait for the disk in a thread, for all rounds that have to; who comes meanwhile is next.
        (The first wait is the wait of all of the same file.)"""
        if self._unsafe:
            self._syncs = True
            some, self._unsafe = self._unsafe, []
            waits = [wait for _, _, wait in some]
            self._pace.elsewhere()
            waited = self._in_thread(lambda: [_error_in(wait) for wait in waits])
            waited.add_done_callback(partial(self._tell_synced, some))

    def _tell_synced(
        self, some: Sequence[Unsafe], waited: asyncio.Future[list[Exception | None]]
    ) -> None:
        self._syncs = False
        stopped = _error_of(waited)
        errors = waited.result() if stopped is None else [stopped] * len(some)
        self._sync()
        for (entries, outcomes, _), error in zip(some, errors, strict=True):
            self._finish(entries, _unsynced(outcomes, error))

    # ---- in a thread ------------------------------------------------------------------------
    def _hand_over(self) -> None:
        entries = self._take()
        self.busy = True
        done = self._in_thread(partial(self._gather, [verb for verb, _ in entries]))
        done.add_done_callback(partial(self._end, entries))

    def _gather(self, verbs: Sequence[Verb]) -> Sequence[Outcome]:
        outcomes, wait = self._broker.gathered(verbs, PATIENCE)
        return outcomes if wait is None else _unsynced(outcomes, _error_in(wait))

    def _end(self, entries: Sequence[Entry], done: asyncio.Future[Sequence[Outcome]]) -> None:
        self.busy = False
        if _error_of(done) is None:
            self._finish(entries, done.result())
        else:  # nothing was done: as if each had come alone
            self._do_alone(entries)
        self._run()

    def _finish(self, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """Tell who asked; what was not done, as it would have waited, is done alone."""
        done = [not isinstance(error, WouldWait | FileReplaced) for _, error in outcomes]
        _tell(list(compress(entries, done)), list(compress(outcomes, done)))
        self._do_alone([entry for entry, is_done in zip(entries, done, strict=True) if not is_done])

    def _do_alone(self, entries: Sequence[Entry]) -> None:
        for verb, tell in entries:
            self._in_thread(verb).add_done_callback(partial(_tell_alone, tell))

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


def _error_in(wait: Callable[[], None]) -> Exception | None:
    try:
        wait()
    except Exception as error:
        return error
    return None


def _unsynced(outcomes: Sequence[Outcome], error: Exception | None) -> Sequence[Outcome]:
    """What to tell when the wait for the disk raised this. What is committed stays so, unless the
    file is another one by now, which has none of it."""
    if error is None:
        return outcomes
    errors = error.errors if isinstance(error, PartlyUnsafe) else [error] * len(outcomes)
    return [
        (None if isinstance(unsafe, FileReplaced) else answer, own or unsafe)
        for (answer, own), unsafe in zip(outcomes, errors, strict=True)
    ]


def _tell(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
    for (_, done), (answer, error) in zip(entries, outcomes, strict=True):
        try:
            done(answer, error)
        except Exception:  # the others are to have their answers
            log.exception("an answer could not be given")


def _tell_alone(done: Done, work: asyncio.Future[Any]) -> None:
    error = _error_of(work)
    done(None if error else work.result(), error)


def _error_of(future: asyncio.Future[Any]) -> Exception | None:
    """The error that it ended with; a server that ends cancels it."""
    if future.cancelled():
        return asyncio.InvalidStateError("the server ends")
    error = future.exception()
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))


def _settle(future: asyncio.Future[T], answer: T, error: Exception | None) -> None:
    if future.done():  # its request was cancelled
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
