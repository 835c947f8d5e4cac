"""Requests that come together: one call for all, each with its own answer or error."""

import asyncio
from collections.abc import Sequence

import pytest

from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.server.coalescer import Coalescer


class Store:
    """Answers each number with its square; refuses negative ones, and everything when `away`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self.away = False

    async def squares(self, queue: str, items: Sequence[int]) -> list[int]:
        self.calls.append((queue, list(items)))
        if self.away:
            raise BrokerUnavailable("away")
        if any(item < 0 for item in items):
            raise LimitExceeded("a negative number")
        return [item * item for item in items]


async def ask(store: Store, *requests: tuple[str, list[int]]) -> list[object]:
    together = Coalescer[int, int](store.squares)
    return await asyncio.gather(
        *(together.do(queue, items) for queue, items in requests), return_exceptions=True
    )


def test_those_that_come_together_are_one_call_in_their_order() -> None:
    store = Store()
    answers = asyncio.run(ask(store, ("q", [1]), ("q", [2, 3]), ("q", [])))
    assert answers == [[1], [4, 9], []]
    assert store.calls == [("q", [1, 2, 3])]


def test_queues_are_apart() -> None:
    store = Store()
    answers = asyncio.run(ask(store, ("a", [1]), ("b", [2])))
    assert answers == [[1], [4]]
    assert store.calls == [("a", [1]), ("b", [2])]


def test_what_one_asks_too_much_is_not_refused_to_the_others() -> None:
    store = Store()
    first, second, third = asyncio.run(ask(store, ("q", [1]), ("q", [-1]), ("q", [3])))
    assert (first, third) == ([1], [9])
    assert isinstance(second, LimitExceeded)
    assert store.calls[1:] == [("q", [1]), ("q", [-1]), ("q", [3])]


def test_a_broker_that_is_away_is_asked_once() -> None:
    store = Store()
    store.away = True
    answers = asyncio.run(ask(store, ("q", [1]), ("q", [2])))
    assert [type(answer) for answer in answers] == [BrokerUnavailable] * 2
    assert len(store.calls) == 1


def test_those_that_come_meanwhile_are_the_next_call() -> None:
    async def scene() -> list[list[int]]:
        go_on, calls = asyncio.Event(), list[list[int]]()

        async def slowly(queue: str, items: list[int]) -> Sequence[int]:
            calls.append(items)
            await go_on.wait()
            return items

        together = Coalescer[int, int](slowly)
        first = asyncio.ensure_future(together.do("q", [1]))
        while not calls:
            await asyncio.wait([first], timeout=0)
        others = [asyncio.ensure_future(together.do("q", [number])) for number in (2, 3)]
        await asyncio.wait(others, timeout=0)
        assert calls == [[1]]
        go_on.set()
        assert await asyncio.gather(first, *others) == [[1], [2], [3]]
        assert await together.do("q", [4]) == [4]
        return calls

    assert asyncio.run(scene()) == [[1], [2, 3], [4]]


@pytest.mark.parametrize("which", [0, 1])
def test_one_that_is_cancelled_leaves_the_others_alone(which: int) -> None:
    async def scene() -> list[int]:
        together = Coalescer[int, int](Store().squares)
        both = [asyncio.ensure_future(together.do("q", [number])) for number in (1, 2)]
        await asyncio.wait(both, timeout=0)
        both[which].cancel()
        return list(await both[1 - which])

    assert asyncio.run(scene()) == [[4], [1]][which]
