"""When the broker asks for more than it was just given, and when it leaves it at that."""

from collections import Counter
from typing import Any

import pytest

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.poll_policy import BEHIND, MOST_PATIENCE, PollPolicy
from taskflow.message import Message
from tests.contract.wire import SharedClock


def test_a_full_answer_that_waited_makes_more_likely() -> None:
    policy = PollPolicy()
    assert not policy.is_likely("work")
    policy.note("work", 10, 10, BEHIND)
    assert policy.is_likely("work")
    assert not policy.is_likely("other")
    policy.note("work", 10, 3, BEHIND)
    assert not policy.is_likely("work")
    policy.note("work", 10, 10, BEHIND - 0.1)
    assert not policy.is_likely("work")


def test_what_was_in_vain_is_tried_half_as_often() -> None:
    policy = PollPolicy()
    needed = []
    for _ in range(8):
        tens = 0
        while not policy.is_likely("work"):
            policy.note("work", 10, 10, BEHIND)
            tens += 1
        needed.append(tens)
        policy.note("work", 10, 0, 0)
    assert needed == [1, 2, 4, 8, 16, MOST_PATIENCE, MOST_PATIENCE, MOST_PATIENCE]


def test_a_real_backlog_is_believed_again_soon() -> None:
    policy = PollPolicy()
    for _ in range(4):
        while not policy.is_likely("work"):
            policy.note("work", 10, 10, BEHIND)
        policy.note("work", 10, 0, 0)
    for _ in range(40):
        policy.note("work", 10, 10, BEHIND)
    policy.note("work", 10, 5, BEHIND)
    policy.note("work", 10, 10, BEHIND)
    assert policy.is_likely("work")


@pytest.fixture
def begun(broker: AwsBroker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests were made at once, each time."""
    groups: list[int] = []
    run = broker._parallel.run

    def noted(calls: Any) -> Any:
        groups.append(len(calls))
        return run(calls)

    monkeypatch.setattr(broker._parallel, "run", noted)
    return groups


def test_a_long_backlog_is_fetched_with_more_and_more_requests_at_once(
    broker: AwsBroker, queue: str, begun: list[int], clock: SharedClock
) -> None:
    broker.send(queue, [Message(str(n), "x") for n in range(120)])
    clock.advance(1)
    assert len(broker.receive(queue, limit=100, wait=20)) == 10
    found = broker.receive(queue, limit=100, wait=20)
    assert len(found) == 100
    assert begun == [1, 1, 2, 3, 3]
    assert len({one.id for one in found}) == 100
    assert len(broker.receive(queue, limit=100)) == 10


def test_without_a_backlog_a_wait_is_one_request(
    broker: AwsBroker, queue: str, requests: Counter[str]
) -> None:
    for n, count in enumerate([4, 10, 10, 7]):
        broker.send(queue, [Message(f"{n}.{m}", "x") for m in range(count)])
        requests.clear()
        assert len(broker.receive(queue, limit=20, wait=20)) == count
        assert requests["ReceiveMessage"] == 1


def test_a_backlog_does_not_hold_up_the_queues_before_it(
    broker: AwsBroker, queue: str, clock: SharedClock
) -> None:
    broker.create_queue("low")
    broker.send("low", [Message(f"low{n}", "x") for n in range(100)])
    clock.advance(1)
    assert len(broker.receive("low", limit=10, wait=20)) == 10
    broker.send(queue, [Message("high", "x")])
    found = broker.receive(queue, "low", limit=5, wait=20)
    assert [one.id for one in found][:2] == ["high", "low10"]
    assert len(found) == 5
