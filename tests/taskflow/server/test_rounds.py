"""Rounds: what comes in one turn of the loop is one transaction, and one thread's when it waits."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from taskflow.broker.prompt import Outcome, WouldWait
from taskflow.errors import FileReplaced
from taskflow.server.pace import PAUSE, QUICK, Pace
from taskflow.server.rounds import Rounds
from taskflow.testing import ManualClock


class Store:
    """Calls verbs; `locked` while somebody else has the lock, `opened` when it is given back."""

    def __init__(self) -> None:
        self.locked = False
        self.opened = threading.Event()
        self.rounds: list[int] = []
        self.threads: list[str] = []
        self.wait: Callable[[], None] | None = None
        self.error: Exception | None = None

    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        if self.locked and patience is None:
            raise WouldWait
        if self.locked:
            assert self.opened.wait(10)
        self.rounds.append(len(verbs))
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        outcomes: list[Outcome] = []
        for verb in verbs:
            try:
                outcomes.append((verb(), None))
            except ValueError as error:
                outcomes.append((None, error))
        return outcomes, self.wait


def play(work: Callable[[Rounds, Store, Pace], Any]) -> Store:
    async def run() -> Store:
        store = Store()
        clock = ManualClock()
        with ThreadPoolExecutor(4, "thread") as threads:
            pace = Pace(clock)
            await work(Rounds(store, threads, pace), store, pace)
        return store

    return asyncio.run(run())


def ask(rounds: Rounds, verb: Callable[[], Any]) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(answer: Any, error: Exception | None) -> None:
        future.set_result(answer) if error is None else future.set_exception(error)

    rounds.add(verb, done)
    return future


def test_one_turn_is_one_round_and_each_fails_alone() -> None:
    async def work(rounds: Rounds, store: Store, _: Pace) -> None:
        found = [ask(rounds, lambda n=n: 6 // n if n else int("x")) for n in (3, 0, 2)]  # type: ignore[misc]  # their own defaults
        answers = await asyncio.gather(*found, return_exceptions=True)
        assert answers[::2] == [2, 3]
        assert isinstance(answers[1], ValueError)
        assert await ask(rounds, lambda: 4) == 4

    store = play(work)
    assert store.rounds == [3, 1]
    assert store.threads == ["MainThread"] * 2


def test_who_would_wait_does_so_in_one_thread_while_others_gather() -> None:
    async def work(rounds: Rounds, store: Store, _: Pace) -> None:
        store.locked = True
        first = [ask(rounds, lambda: 1), ask(rounds, lambda: 2)]
        turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()
        assert rounds.busy
        later = [ask(rounds, lambda: 3), asyncio.ensure_future(rounds.do(lambda: 4))]
        asyncio.get_running_loop().call_soon(lambda: setattr(store, "locked", False))
        asyncio.get_running_loop().call_soon(store.opened.set)
        assert await asyncio.gather(*first, *later) == [1, 2, 3, 4]
        assert not rounds.busy

    store = play(work)
    assert store.rounds == [2, 2]
    assert store.threads[0].startswith("thread")
    assert store.threads[1] == "MainThread"


def test_what_cannot_be_done_together_is_done_one_by_one() -> None:
    async def work(rounds: Rounds, store: Store, _: Pace) -> None:
        store.error = OSError("disk")
        assert [*await asyncio.gather(ask(rounds, lambda: 1), ask(rounds, lambda: 2))] == [1, 2]
        assert await rounds.do(lambda: 3, would_wait=True) == 3

    assert play(work).rounds == [2, 1]


def test_nobody_is_told_before_it_is_on_disk() -> None:
    told_from: list[str] = []

    async def work(rounds: Rounds, store: Store, pace: Pace) -> None:
        store.wait = lambda: told_from.append(threading.current_thread().name)
        for quick in (True, False):
            pace.quick = quick
            seen = len(told_from)
            assert await ask(rounds, lambda: 1) == 1
            assert len(told_from) == seen + 1

        def broken() -> None:
            raise OSError("disk")

        store.wait = broken
        for quick in (True, False):
            pace.quick = quick
            found = await asyncio.gather(ask(rounds, lambda: 1), return_exceptions=True)
            assert isinstance(found[0], OSError)

    play(work)
    assert told_from[0] == "MainThread"
    assert told_from[1].startswith("thread")


@pytest.mark.parametrize("how", ["on the loop", "in a thread", "locked"])
def test_what_is_committed_is_not_called_again_though_the_disk_fails(how: str) -> None:
    calls: list[str] = []
    told: list[tuple[Any, Exception | None]] = []

    async def work(rounds: Rounds, store: Store, pace: Pace) -> None:
        pace.quick = how == "on the loop"
        store.locked = how == "locked"
        store.opened.set()
        all_told = asyncio.Event()

        def broken() -> None:
            raise OSError("disk")

        def verb(name: str) -> str:
            calls.append(name)
            if name == "wrong":
                raise ValueError(name)
            return name

        def done(answer: Any, error: Exception | None) -> None:
            told.append((answer, error))
            if len(told) == 3:
                all_told.set()

        store.wait = broken
        for name in ("a", "wrong", "b"):
            rounds.add(partial(verb, name), done)
        await all_told.wait()

    play(work)
    assert calls == ["a", "wrong", "b"]
    assert [answer for answer, _ in told] == ["a", None, "b"]
    assert [type(error) for _, error in told] == [OSError, ValueError, OSError]


@pytest.mark.parametrize("how", ["on the loop", "in a thread", "locked"])
def test_what_went_into_a_file_that_was_replaced_is_done_once_more(how: str) -> None:
    calls: list[str] = []

    async def work(rounds: Rounds, store: Store, pace: Pace) -> None:
        pace.quick = how == "on the loop"
        store.locked = how == "locked"
        store.opened.set()

        def replaced() -> None:
            raise FileReplaced("broker.db")

        store.wait = replaced

        def verb() -> int:
            calls.append("a")
            return len(calls)

        assert await ask(rounds, verb) == 2

    play(work)
    assert calls == ["a", "a"]


def test_each_round_hears_of_its_own_wait() -> None:
    """Two that wait for the disk together, of which one was in a file that was replaced."""
    turns: list[str] = []

    async def work(rounds: Rounds, store: Store, pace: Pace) -> None:
        pace.quick = False
        waits = threading.Event()

        def held() -> None:
            assert waits.wait(10)

        def replaced() -> None:
            raise FileReplaced("broker.db")

        async def turn(wait: Callable[[], None], name: str) -> asyncio.Future[Any]:
            store.wait = wait
            future = ask(rounds, lambda: turns.append(name))
            ended = asyncio.Event()
            asyncio.get_running_loop().call_soon(ended.set)
            await ended.wait()
            return future

        asked = [await turn(held, "first"), await turn(replaced, "lost"), await turn(held, "kept")]
        waits.set()
        await asyncio.gather(*asked)

    play(work)
    assert turns == ["first", "lost", "kept", "lost"]


def test_a_slow_disk_is_waited_for_elsewhere_until_it_is_quick_again() -> None:
    clock = ManualClock()
    pace = Pace(clock)

    def wait(*times: float) -> None:
        for seconds in times:
            assert pace.quick
            pace.timed(lambda seconds=seconds: clock.advance(seconds))  # type: ignore[misc]  # its own default

    def pause() -> int:
        waits = 0
        while not pace.quick:
            pace.elsewhere()
            waits += 1
        return waits

    wait(*[0.0] * 50, QUICK * 2, *[0.0] * 100, QUICK * 2)  # one in a hundred may be slow
    assert pace.quick
    wait(QUICK * 2)
    assert pause() == PAUSE
    wait(QUICK * 2, QUICK * 2)  # still: it takes longer to be trusted
    assert pause() == 2 * PAUSE
    wait(*[0.0] * 200, QUICK * 2, QUICK * 2)
    assert pause() == PAUSE


def test_what_would_have_waited_is_done_alone() -> None:
    """As over several files, of which one is locked."""
    done: list[str] = []

    async def work(rounds: Rounds, store: Store, pace: Pace) -> None:
        def would_wait() -> str:
            if not done:
                done.append("tried")
                raise ValueError  # the store makes an outcome of it
            done.append("alone")
            return "b"

        whole = store.gathered

        def gathered(
            verbs: Sequence[Callable[[], Any]], patience: float | None = None
        ) -> tuple[list[Outcome], Callable[[], None] | None]:
            outcomes, wait = whole(verbs, patience)
            return [(None, WouldWait()) if error else (one, None) for one, error in outcomes], wait

        store.gathered = gathered  # type: ignore[method-assign]
        both = [ask(rounds, lambda: "a"), ask(rounds, would_wait)]
        assert [await one for one in both] == ["a", "b"]

    play(work)
    assert done == ["tried", "alone"]
