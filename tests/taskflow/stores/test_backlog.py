"""What a verb costs does not depend on how much waits: counted in steps of SQLite's machine."""

from collections.abc import Callable, Iterator
from contextlib import closing

import apsw
import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.settings import Holding, Limit
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message, Priority
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

pytestmark = pytest.mark.slow
FEW, MANY = 100, 4000
GROUPS = 50


class Counted:
    """A broker in memory, and the steps that its SQLite has taken."""

    def __init__(self, queue: str, waiting: int) -> None:
        store = SqliteStore(None, durable=False)
        self.clock = ManualClock()
        self.broker = StoredBroker(store, clock=self.clock)
        self.steps = 0
        connection: apsw.Connection = store._database.connection
        connection.set_progress_handler(self._count, 1)
        self.queue, self.last = queue, str(waiting - 1)
        self.broker.create_queue(queue, QueueSettings(retention=3600))
        self.broker.send(queue, [self.message(number) for number in range(waiting)])

    def _count(self) -> bool:
        self.steps += 1
        return False

    def message(self, number: int) -> Message:
        fifo = self.queue.endswith(".fifo")
        name = str(number)
        group = f"g{number % GROUPS}" if fifo else None
        return Message(name, "x", {}, None, group, name if fifo else None)

    def cost(self, act: Callable[["Counted"], object]) -> int:
        act(self)  # the first time statements are prepared, settings read
        before = self.steps
        act(self)
        return self.steps - before


def receive_and_delete(held: Counted) -> None:
    lent = held.broker.receive(held.queue, limit=5)
    assert len(lent) == 5
    assert held.broker.delete([Finish(one) for one in lent]) == [True] * 5


def receive_and_give_back(held: Counted) -> None:
    held.broker.give_back(held.broker.receive(held.queue, limit=5))


def send_again(held: Counted) -> None:
    held.broker.send(held.queue, [held.message(7)])


def peek_at_one(held: Counted) -> None:
    assert [one.id for one in held.broker.peek(held.queue, 1, [held.last])] == [held.last]


def receive_with_the_first_groups_held(held: Counted) -> None:
    lent = held.broker.receive(held.queue, limit=10, visibility=3600)
    assert len(lent) == 10


@pytest.mark.parametrize("queue", ["work", "work.fifo"])
@pytest.mark.parametrize(
    "act",
    [
        receive_and_delete,
        receive_and_give_back,
        receive_with_the_first_groups_held,
        send_again,
        peek_at_one,
    ],
)
def test_a_verb_costs_the_same_whatever_waits(queue: str, act: Callable[[Counted], object]) -> None:
    costs = []
    for waiting in (FEW, MANY):
        held = Counted(queue, waiting)
        with closing(held.broker):
            costs.append(held.cost(act))
    few, many = costs
    assert few > 20
    assert many <= 1.5 * few


# ---- past their retention -----------------------------------------------------------------------
@pytest.fixture(params=["work", "work.fifo"])
def expired(request: pytest.FixtureRequest) -> Iterator[Counted]:
    """Many messages past their retention."""
    held = Counted(request.param, MANY)
    held.clock.advance(3601)
    with closing(held.broker):
        yield held


def stored(held: Counted) -> int:
    return held.broker.store.look(
        lambda rows: sum(rows.counts([(1, 0.0)], held.clock.now())[0][:3])
    )


def test_one_receive_drops_a_part_of_them(expired: Counted) -> None:
    assert expired.broker.receive(expired.queue) == []
    assert stored(expired) == MANY - 1000
    for _ in range(3):
        assert expired.broker.receive(expired.queue) == []
    assert stored(expired) == 0


@pytest.mark.parametrize("limit", [1, 10])
def test_a_receive_looks_behind_them(expired: Counted, limit: int) -> None:
    news = [expired.message(number) for number in range(MANY, MANY + 3)]
    expired.broker.send(expired.queue, news)
    lent = expired.broker.receive(expired.queue, limit=limit)
    assert [one.id for one in lent] == [one.id for one in news][:limit]
    assert stored(expired) >= MANY - 1000


def test_what_was_received_before_it_expired_is_dropped_too(expired: Counted) -> None:
    queue = "other.fifo" if expired.queue.endswith(".fifo") else "other"
    expired.broker.create_queue(queue, QueueSettings(retention=3600))
    expired.broker.send(queue, [expired.message(number) for number in range(GROUPS)])
    assert len(expired.broker.receive(queue, limit=GROUPS, visibility=60)) == GROUPS
    expired.clock.advance(3600)
    assert expired.broker.receive(queue) == []
    assert expired.broker.peek(queue) == []
    expired.broker.send(queue, [expired.message(3)])
    assert [one.id for one in expired.broker.receive(queue)] == ["3"]


# ---- what waits for others ----------------------------------------------------------------------
ONE = Holding(limits={"pay": Limit(most=1), "slow": Limit(rate=0.001)})


def waiting_for(slot: str, count: int) -> Counted:
    """So many messages that cannot start, in front of some that can: one of their slot has, and
    each of the others has been looked at once."""
    held = Counted("work", 0)
    name = slot.partition("\n")[0]
    blocked = [Message(f"b{at}", "x", slot=slot) for at in range(count + 1)]
    held.broker.send("work", blocked)
    while held.broker.receive("work", limit=100, visibility=4e4, holding=ONE):
        pass
    others = [Message(f"o{at}", "x", slot=f"{name}\nother {at}") for at in range(20)]
    held.broker.send("work", others)
    return held


def take_others(held: Counted) -> None:
    lent = held.broker.receive("work", limit=5, holding=ONE)
    assert [one.id[0] for one in lent] == ["o"] * 5
    assert held.broker.delete([Finish(one) for one in lent]) == [True] * 5


@pytest.mark.parametrize("slot", ["pay\nacme", "slow\nacme"])
def test_what_waits_for_a_limit_costs_the_others_nothing(slot: str) -> None:
    costs = []
    for count in (FEW, MANY):
        with closing((held := waiting_for(slot, count)).broker):
            costs.append(held.cost(take_others))
    few, many = costs
    assert many <= 1.5 * few


@pytest.mark.parametrize("priority", ["low", None])
def test_a_backlog_of_one_level_costs_the_other_nothing(priority: Priority | None) -> None:
    def act(held: Counted) -> None:
        news = [Message(f"n{at}", "x", priority="high") for at in range(3)]
        held.broker.send("work", news)
        lent = held.broker.receive("work", limit=3)
        assert [one.id for one in lent] == ["n0", "n1", "n2"]
        held.broker.delete([Finish(one) for one in lent])

    costs = []
    for count in (FEW, MANY):
        held = Counted("work", 0)
        with closing(held.broker):
            backlog = [Message(f"b{at}", "x", priority=priority) for at in range(count)]
            held.broker.send("work", backlog)
            costs.append(held.cost(act))
    few, many = costs
    assert many <= 1.5 * few


@pytest.mark.parametrize("priority", ["low", None])
def test_a_backlog_of_tenants_costs_a_receive_nothing(priority: Priority | None) -> None:
    costs = []
    for count in (FEW, MANY):
        held = Counted("work", 0)
        with closing(held.broker):
            held.broker.send(
                "work",
                [
                    Message(f"b{at}", "x", group=f"g{at % GROUPS}", priority=priority)
                    for at in range(count)
                ],
            )
            costs.append(held.cost(receive_and_delete))
    few, many = costs
    assert many <= 1.5 * few
