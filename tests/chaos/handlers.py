"""The handlers of a chaos run: each says when it starts and how it ends; some are toxic."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from taskflow import Context, Registry, Reject
from tests.chaos.history import History
from tests.chaos.plan import HUGE, KINDS, VISIBILITY, Kind

DEATH = 66  # the exit code of a worker that a message has killed
Payload = dict[str, Any]


def pause(seconds: float) -> None:
    """Work of some length."""
    threading.Event().wait(seconds)


Act = Callable[[Payload, int], None]


def plain(payload: Payload, attempt: int) -> None:
    pass


def slow(payload: Payload, attempt: int) -> None:
    pause(0.1)


def flaky(payload: Payload, attempt: int) -> None:
    if attempt == 1:
        raise ConnectionError("the first attempt fails")


def huge(payload: Payload, attempt: int) -> None:
    if len(payload["filler"]) < HUGE:
        raise AssertionError(f"{len(payload['filler'])} characters came of {HUGE}")


def raises(payload: Payload, attempt: int) -> None:
    raise RuntimeError("toxic")


def rejects(payload: Payload, attempt: int) -> None:
    raise Reject("toxic")


def exits(payload: Payload, attempt: int) -> None:
    sys.exit(3)


def hangs(payload: Payload, attempt: int) -> None:
    while True:
        pause(0.02)


def kills(payload: Payload, attempt: int) -> None:
    os._exit(DEATH)


ACTS: dict[str, Act] = {
    act.__name__: act for act in (plain, slow, flaky, huge, raises, rejects, exits, hangs, kills)
}
ACTS["both"] = plain


def subscribe_all(registry: Registry, history: History | None = None) -> Registry:
    """A handler for every kind on each of its queues; without a history, for declaring only."""
    for kind in KINDS.values():
        for queue in kind.queues:
            handler = _coroutine(queue, history) if kind.name == "coroutine" else None
            registry.subscribe(
                kind.topic,
                queue=queue,
                retries=kind.retries,
                backoff=0.1,
                timeout=kind.timeout,
                visibility_timeout=VISIBILITY,
            )(handler or _function(kind, queue, history))
    return registry


def _function(kind: Kind, queue: str, history: History | None) -> Callable[..., Any]:
    act = ACTS[kind.act or kind.name]

    def handle(payload: Payload, ctx: Context) -> None:
        with _witnessed(history, queue, ctx):
            act(payload, ctx.attempt)

    handle.__qualname__ = f"{kind.name}_on_{queue}"
    return handle


def _coroutine(queue: str, history: History | None) -> Callable[..., Any]:
    async def handle(payload: Payload, ctx: Context) -> None:
        with _witnessed(history, queue, ctx):
            with_nothing_to_wait_for = asyncio.Event()
            await asyncio.wait(
                [asyncio.ensure_future(with_nothing_to_wait_for.wait())], timeout=0.01
            )

    handle.__qualname__ = f"coroutine_on_{queue}"
    return handle


@contextmanager
def _witnessed(history: History | None, queue: str, ctx: Context) -> Any:
    assert history is not None
    what = {"id": ctx.event.id, "queue": queue, "attempt": ctx.attempt}
    # When the broker last said that this worker holds the message; it may have stood still since.
    history.note("start", held=ctx.delivery.visible_at - VISIBILITY, **what)
    try:
        yield
    except BaseException as error:
        history.note("failed", error=type(error).__name__, **what)
        raise
    history.note("end", **what)
