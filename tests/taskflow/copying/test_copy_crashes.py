"""A copy dies at each call of either broker: once repeated, all is there once.

It dies after a call; before the next one is the same to both brokers.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from taskflow import Broker
from taskflow.brokers.copying import copy as copying
from taskflow.brokers.copying.copy import Copy
from taskflow.testing import ManualClock
from tests.taskflow.copying.conftest import Open
from tests.taskflow.copying.test_copy import declare, declared_by, drained, fill, held_by

READS = (
    "records",
    "queues",
    "topics",
    "subscriptions",
    "settings",
    "topic_settings",
    "counts",
    "describe_queue",
    "describe_topic",
    "batches",
    "finished_after",
    "known_after",
)


class Died(BaseException):
    """The copy is gone: whatever it does from here on does not happen."""


class Life:
    """So many calls of two brokers, and then none."""

    def __init__(self, at: int = 0) -> None:
        self._at = at
        self.calls = self._depth = 0
        self.dead = False

    def call(self, verb: Any, *args: Any) -> Any:
        """Call it, and die at one of them; those inside of `together` are a part of that."""
        self.calls += not self._depth
        last = self.calls == self._at and not self._depth
        if self.dead:
            raise Died
        self._depth += 1
        try:
            answer = verb(*args)
        finally:
            self._depth -= 1
        if last:
            self.dead = True
            raise Died
        return answer


class Mortal:
    """A broker as somebody with a life sees it."""

    def __init__(self, broker: Broker, life: Life) -> None:
        self._broker, self._life = broker, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if not callable(found) or name in READS or name in ("clock", "random"):
            return found
        return lambda *args: self._life.call(found, *args)


class World:
    """Two brokers, of which one is full, and what their workers handled."""

    def __init__(self, opened: Open, clock: ManualClock, way: str) -> None:
        self.clock = clock
        source, _, target = way.partition(">")
        self.source, self.target = opened(source), opened(target)
        declare(self.source)
        fill(self.source, clock)
        self.was = held_by(self.source)
        self.handled: Counter[tuple[str, str]] = Counter()

    def copy(self, at: int = 0) -> Life:
        """Copy, and perhaps die."""
        life = Life(at)
        source: Any = Mortal(self.source, life)
        target: Any = Mortal(self.target, life)
        with suppress(Died):
            Copy(source, target).run()
        return life

    def work(self, broker: Broker) -> None:
        """Handle all that can be had."""
        if "work" in broker.queues():
            names = [*broker.queues(), *(one.queue for one in broker.subscriptions())]
            self.handled.update((one.queue, one.id) for one in drained(broker, *names))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 4)
    monkeypatch.setattr(copying, "PAGE", 3)


WAYS = pytest.mark.parametrize("way", ["memory>memory", "2 files>memory", "memory>2 files"])


@pytest.mark.slow
@WAYS
def test_a_copy_that_died_anywhere_is_whole_once_it_is_repeated(
    opened: Open, clock: ManualClock, way: str
) -> None:
    calls = World(opened, clock, way).copy().calls
    assert calls > 20
    for at in range(1, calls + 1):
        world = World(opened, clock, way)
        assert world.copy(at).dead
        world.copy()
        assert held_by(world.target) == world.was, at
        world.source.pause("lanes.fifo", paused=False)
        assert declared_by(world.target) == declared_by(world.source)
        assert not any(held_by(world.source).values())
        assert world.target.finished("work", [("done", "")])
        assert world.source.batches() == []  # type: ignore[attr-defined]


@pytest.mark.slow
@WAYS
def test_what_workers_of_both_handle_meanwhile_is_handled_once(
    opened: Open, clock: ManualClock, way: str
) -> None:
    expected = {
        (name, one["id"]) for name, held in World(opened, clock, way).was.items() for one in held
    }
    for at in range(1, World(opened, clock, way).copy().calls + 1):
        world = World(opened, clock, way)
        world.copy(at)
        world.work(world.target)
        world.work(world.source)
        world.copy()
        clock.advance(7200)
        world.work(world.target)
        assert world.handled == Counter(dict.fromkeys(expected, 1)), at
