"""Message groups in a worker: who may run, who waits, who goes back."""

import json

import pytest

from taskflow import Event, Registry, RetryPolicy
from taskflow.message import Delivery
from taskflow.worker.execute import find_job
from taskflow.worker.job import Job
from taskflow.worker.ordering import Groups, divide, lane_of
from tests.taskflow.making import cloud_event

RETRIES = 2


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.subscribe("made.fifo", queue="work.fifo", retries=RETRIES)
    def handle(event: Event[object]) -> None: ...

    return registry


def lent(name: str, count: int = 1, queue: str = "work.fifo") -> Delivery:
    """A delivery whose group is the letter in front; without one in front it has none."""
    group = name[0] if name[0].isalpha() else None
    body = json.dumps(cloud_event(id=name))
    return Delivery(
        name, "made.fifo", body, {}, queue, f"{name}.1", count, 0.0, 0.0, 30.0, group=group
    )


def jobs(registry: Registry, *names: str) -> list[Job]:
    """`a1` is received for the first time, `a1*3` for the third."""
    parts = [name.partition("*") for name in names]
    return [find_job(lent(name, int(count or 1)), registry) for name, _, count in parts]


def ids(some: list[Job]) -> str:
    return " ".join(job.delivery.id for job in some)


# ---- whose order counts -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("delivery", "lane"),
    [
        (lent("a1"), ("work.fifo", "a")),
        (lent("a1", queue="other.fifo"), ("other.fifo", "a")),
        (lent("1"), None),
        (lent("a1", queue="work"), None),
    ],
)
def test_order_counts_on_fifo_queues_only(delivery: Delivery, lane: tuple[str, str] | None) -> None:
    assert lane_of(delivery) == lane


@pytest.mark.parametrize("name", ["1", "a1"])
def test_messages_without_an_order_never_wait(name: str) -> None:
    groups = Groups()
    one, two = (Job(lent(name, queue="work"), None, RetryPolicy()) for _ in range(2))
    assert groups.enter(one)
    assert groups.enter(two)
    assert groups.advance(one) is None
    assert groups.disband(two) == groups.recall_all() == []


# ---- one after the other ----------------------------------------------------------------------
def test_the_first_of_each_group_may_run(registry: Registry) -> None:
    groups = Groups()
    received = jobs(registry, "a1", "a2", "b1", "a3", "b2")
    assert ids([job for job in received if groups.enter(job)]) == "a1 b1"


def test_the_next_runs_when_the_one_before_is_done(registry: Registry) -> None:
    groups = Groups()
    one, two, three = jobs(registry, "a1", "a2", "a3")
    for job in (one, two, three):
        groups.enter(job)
    assert groups.advance(one) is two
    assert groups.advance(two) is three
    assert groups.advance(three) is None
    (late,) = jobs(registry, "a4")
    assert groups.enter(late), "nobody of the group is left to wait for"


def test_what_comes_later_waits_for_what_runs(registry: Registry) -> None:
    groups = Groups()
    one, two = jobs(registry, "a1", "a2")
    groups.enter(one)
    assert not groups.enter(two)
    assert groups.advance(one) is two


def test_only_the_first_of_a_group_moves_it_on(registry: Registry) -> None:
    groups = Groups()
    one, two, three = jobs(registry, "a1", "a2", "a3")
    for job in (one, two, three):
        groups.enter(job)
    assert groups.advance(two) is None
    assert groups.disband(two) == groups.recall(two) == []
    assert groups.advance(one) is two, "nothing has changed"


def test_two_receives_of_one_message_are_two(registry: Registry) -> None:
    """Its lease was lost while it ran, and this worker received it again."""
    groups = Groups()
    (before,), (again,) = jobs(registry, "a1"), jobs(registry, "a1")
    groups.enter(before)
    assert not groups.enter(again)
    assert groups.advance(again) is None
    assert groups.advance(before) is again


def test_a_group_that_cannot_go_on_gives_up_those_behind(registry: Registry) -> None:
    groups = Groups()
    one, two, three, other = jobs(registry, "a1", "a2", "a3", "b1")
    for job in (one, two, three, other):
        groups.enter(job)
    assert groups.disband(one) == [two, three]
    (back,) = jobs(registry, "a1*2")
    assert groups.enter(back)
    assert groups.advance(other) is None


def test_those_behind_may_go_while_the_first_still_runs(registry: Registry) -> None:
    groups = Groups()
    one, two, three = jobs(registry, "a1", "a2", "a3")
    for job in (one, two):
        groups.enter(job)
    assert groups.recall(one) == [two]
    assert not groups.enter(three)
    assert groups.advance(one) is three


def test_all_that_wait_may_go(registry: Registry) -> None:
    groups = Groups()
    for job in jobs(registry, "a1", "a2", "b1", "b2", "a3"):
        groups.enter(job)
    assert ids(groups.recall_all()) == "a2 a3 b2"
    assert groups.recall_all() == []


# ---- what had better not wait -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("received", "kept", "returned"),
    [
        ("a1 a2 b1", "a1 a2 b1", ""),
        ("1*3 2*3", "1*3 2*3", ""),  # no group
        ("a1*2 a2 a3 b1 b2", "a1 b1 b2", "a2 a3"),  # a1 may have killed its worker
        ("a1 a2*2 a3", "a1 a2 a3", ""),
        ("a1 a2*3 a3", "a1", "a2 a3"),  # the last attempt of a2, of three
        ("a1*3", "a1", ""),
        ("a1 a2 b1*2 b2 a3", "a1 a2 b1 a3", "b2"),
    ],
)
def test_nobody_waits_at_the_risk_of_his_last_attempt(
    registry: Registry, received: str, kept: str, returned: str
) -> None:
    found = divide(jobs(registry, *received.split()))
    expected = " ".join(name.partition("*")[0] for name in kept.split())
    assert (ids(found[0]), ids(found[1])) == (expected, returned)


def test_a_message_without_a_handler_has_the_attempts_of_its_policy() -> None:
    some = [Job(lent(name), None, RetryPolicy(retries=0)) for name in ("a1", "a2")]
    assert divide(some) == (some[:1], some[1:])
