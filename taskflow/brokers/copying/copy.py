"""Moving what waits in the queues of one broker to another: once, whatever dies meanwhile."""

import math
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.handover import START, Handover, Place
from taskflow.brokers.copying.queue_copy import QueueCopy
from taskflow.brokers.copying.topology_copy import Declaring
from taskflow.brokers.copying.tree_copy import TreeCopy
from taskflow.brokers.copying.trees import Trees
from taskflow.errors import ConfigError, VersionConflict
from taskflow.limits import is_fifo
from taskflow.message import new_id

BATCH = 500  # messages of one change
PAGE = 1000  # of what is remembered
LOOK_EVERY = 1.0  # seconds, while messages in flight are waited for
_NAME, _KEY = "broker", "id"  # of the record that says which broker this is


def _ignore(queue: str, count: int) -> None:
    """Nobody is told how far it is."""


class Copy:
    """Moves messages from `source` to `target`, and what is kept in `trees`; both are in use
    meanwhile, and stay open.

    Making it looks at both and writes nothing. Raises ConfigError for brokers of which one cannot
    do this, for one and the same broker, and where declarations differ (`Declaring`);
    QueueNotFound for a queue that `source` has not.
    """

    def __init__(
        self,
        source: Broker,
        target: Broker,
        queues: Collection[str] = (),
        trees: Sequence[Trees] = (),
    ) -> None:
        for name, broker in (("FROM", source), ("TO", target)):
            if not isinstance(broker, Handover):
                raise ConfigError(
                    f"{name} is no broker whose messages can be moved as they are: only sqlite:// "
                    "and postgresql:// can; at AWS let the queues run empty instead, with "
                    "publishers at the new broker and workers at both"
                )
        self._source, self._target = source, target
        self._out: Handover = source  # type: ignore[assignment]  # as was just seen
        self._in: Handover = target  # type: ignore[assignment]
        mine = _id_of(source)
        if mine is not None and mine == _id_of(target):
            raise ConfigError("FROM and TO are one broker, or one is a copy of the other's files")
        self._declaring = Declaring(source, target, queues)
        only = self._declaring.queues if queues else None
        self.trees = TreeCopy(source, target, trees, only)
        """What becomes of the trees."""

    def plan(self) -> list[QueueCopy]:
        """What there is to move, and what is in flight now."""
        plan = []
        for name in self._declaring.queues:
            counts = self._source.counts(name)
            waiting = counts.visible + counts.delayed
            plan.append(QueueCopy(name, moved=waiting, in_flight=counts.in_flight))
        return plan

    def run(
        self, wait: float = 0.0, moved: Callable[[str, int], None] = _ignore
    ) -> list[QueueCopy]:
        """Declare, finish what an earlier copy had begun, and move what waits; for up to `wait`
        seconds look again for what is in flight. Answers what became of each queue. FIFO queues
        are paused at `source` first, and stay so: the order would be lost between two brokers.

        Call it again after it was interrupted, wherever that was: what was moved is moved once.
        `moved(queue, count)` is told of each batch. Raises ConfigError while another copy of
        `source`, to another broker, has not ended: what an earlier one to this `target` had begun
        is finished even then.
        """
        to = _name(self._target)
        if to == _name(self._source):
            raise ConfigError("FROM and TO are one broker")
        if not self._begun(to):
            self._check_others(to)
        self._declaring.declare()
        for name in self._declaring.queues:
            if is_fifo(name):  # else workers of both would have messages of one group
                self._source.pause(name)
        copies = {name: QueueCopy(name) for name in self._declaring.queues}
        for batch in self._out.batches():
            if batch.to != to:  # of another copy, which has just begun
                continue
            messages = self._out.hand_again(batch.id)
            numbers = self._in.take_in(batch.id, batch.queue, messages)
            self._out.let_go(batch.id, numbers)
            if batch.queue in copies:
                copies[batch.queue].moved += len(numbers)
                moved(batch.queue, len(numbers))
        self.trees.go_on(to)
        self._check_others(to)
        for topic in self._declaring.topics:
            self._remember("topic", topic)
        self._move_all(list(copies.values()), to, moved)
        until = self._source.clock.now() + wait
        pause = threading.Condition()
        while self._source.clock.now() < until and self._waits(copies.values()):
            with pause:
                self._source.clock.wait(pause, LOOK_EVERY)
            left = [one for one in copies.values() if one.in_flight or one.of_runs]
            self._move_all(left, to, moved)
        return list(copies.values())

    def _begun(self, to: str) -> bool:
        """Whether an earlier copy to this broker has not ended."""
        return any(one.to == to for one in self._out.batches()) or self.trees.begun(to)

    def _check_others(self, to: str) -> None:
        others = sum(one.to != to for one in self._out.batches()) + self.trees.others(to)
        if others:
            raise ConfigError(
                f"{others} batches of an earlier copy to another broker have not ended: repeat"
                " that one first (or `taskflow copy FROM --give-up`, if that broker is gone for "
                "good; messages come back within an hour)"
            )

    def _waits(self, copies: Collection[QueueCopy]) -> bool:
        """Whether something is left that is in flight."""
        return self.trees.in_flight or any(one.in_flight for one in copies)

    def _move_all(
        self, copies: Collection[QueueCopy], to: str, moved: Callable[[str, int], None]
    ) -> None:
        """Trees, which have messages of their own, and then the other messages. In a group of a
        FIFO queue those of both sorts stand behind each other: again while fewer are left."""
        left, before = math.inf, math.inf
        while left:
            self.trees.move(to)
            for copy in copies:
                self._move(copy, to, moved)
            left = sum(copy.of_runs for copy in copies if is_fifo(copy.name))
            if left >= before:
                return
            before = left

    def _move(self, copy: QueueCopy, to: str, moved: Callable[[str, int], None]) -> None:
        """What the queue remembers, then its messages, from the first to the last that is there
        when it comes to that; again while that is much."""
        copy.finished = self._remember_finished(copy.name)
        self._remember("queue", copy.name)
        many = True
        while many:
            place: Place | None = START
            count = copy.in_flight = copy.of_runs = 0
            while place is not None:
                batch = new_id(self._source.clock.now(), self._source.random)
                lot = self._out.hand_out(batch, copy.name, to, BATCH, place)
                if lot.messages:
                    numbers = self._in.take_in(batch, copy.name, lot.messages)
                    self._out.let_go(batch, numbers)
                    count += len(numbers)
                    moved(copy.name, len(numbers))
                copy.in_flight += lot.in_flight
                copy.of_runs += lot.of_runs
                place = lot.place
            copy.moved += count
            many = count > BATCH

    def _remember_finished(self, queue: str) -> int:
        last, count = ("", ""), 0
        while page := self._out.finished_after(queue, last, PAGE):
            self._in.remember_finished(queue, page)
            last, count = (page[-1].id, page[-1].topic), count + len(page)
        return count

    def _remember(self, kind: Literal["queue", "topic"], name: str) -> None:
        last = ("", "")
        while page := self._out.known_after(kind, name, last, PAGE):
            self._in.remember_known(kind, name, page)
            last = (page[-1].group, page[-1].key)


def _id_of(broker: Broker) -> str | None:
    """The id that a broker was given, if it was."""
    found = broker.records(_NAME, [_KEY]).get(_KEY)
    return None if found is None else found.value


def _name(broker: Broker) -> str:
    """The id of a broker, which is given to it now if it has none."""
    while (found := _id_of(broker)) is None:
        fresh = new_id(broker.clock.now(), broker.random)
        put = Put(kind=_NAME, key=_KEY, value=fresh, expected=0)
        (answer,) = broker.apply([Change(records=[put])])
        if answer.refused is not None and not isinstance(answer.refused, VersionConflict):
            raise answer.refused
    return found
