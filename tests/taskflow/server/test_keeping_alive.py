"""How long a connection stays open on which nothing is asked: counted from its last answer."""

import asyncio
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from taskflow.server.connection import FIRST, Connection

KEPT = 75


class Timer:
    def __init__(self, at: float, call: Callable[..., None], given: tuple[Any, ...]) -> None:
        self.at, self.call, self.given = at, call, given
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of one as a connection asks for; its time is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., None], *given: Any) -> Timer:
        self.timers.append(Timer(self.now + seconds, call, given))
        return self.timers[-1]

    def waiting(self) -> list[Timer]:
        return [one for one in self.timers if not one.cancelled]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        while due := [one for one in self.waiting() if one.at <= self.now]:
            self.timers.remove(due[0])
            due[0].call(*due[0].given)


class Made:
    """A connection that has just been answered once."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.transport = MagicMock(asyncio.Transport)
        self.transport.is_closing.return_value = False
        self.transport.close.side_effect = self._close
        config = Config(lambda *_: None, timeout_keep_alive=KEPT, log_config=None)
        config.load()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.connection = Connection(config, ServerState(), {}, loop)
        self.connection.connection_made(self.transport)
        self.connection._end()
        self.answer()

    def _close(self) -> None:
        self.transport.is_closing.return_value = True

    @property
    def is_open(self) -> bool:
        return not self.transport.is_closing()

    def ask(self) -> None:
        self.connection._unset_keepalive_if_required()

    def answer(self) -> None:
        self.connection.on_response_complete()


@pytest.fixture
def made() -> Made:
    return Made()


def test_it_ends_when_nothing_more_is_asked(made: Made) -> None:
    made.loop.advance(KEPT - 1)
    assert made.is_open
    made.loop.advance(1)
    assert not made.is_open


def test_it_counts_from_the_last_answer(made: Made) -> None:
    for _ in range(9):
        made.loop.advance(KEPT - 5)
        made.ask()
        made.answer()
    assert made.is_open
    made.loop.advance(KEPT - 1)
    assert made.is_open
    made.loop.advance(1)
    assert not made.is_open


def test_it_waits_for_an_answer_however_long_that_takes(made: Made) -> None:
    made.ask()
    made.loop.advance(9 * KEPT)
    assert made.is_open
    made.answer()
    made.loop.advance(KEPT - 1)
    assert made.is_open
    made.loop.advance(1)
    assert not made.is_open


def test_there_is_one_timer_however_much_is_asked(made: Made) -> None:
    for _ in range(99):
        made.ask()
        made.answer()
    assert len(made.loop.timers) == 2  # and that of the first byte, which is cancelled
    assert [one.at for one in made.loop.waiting()] == [KEPT]
    assert made.loop.timers[0].at == FIRST
    assert made.connection.server_state.total_requests == 100


def test_none_is_left_when_the_client_leaves(made: Made) -> None:
    made.connection.connection_lost(None)
    assert made.loop.waiting() == []


def test_a_request_that_came_behind_another_has_its_time(made: Made) -> None:
    made.connection.pipeline.append((MagicMock(), MagicMock()))
    made.connection._start_asgi_task = MagicMock()  # type: ignore[method-assign]
    made.ask()
    made.answer()
    assert made.connection._start_asgi_task.called
    made.loop.advance(9 * KEPT)
    assert made.is_open
    made.answer()
    made.loop.advance(KEPT)
    assert not made.is_open
