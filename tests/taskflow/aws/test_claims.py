"""An event that a queue holds twice, as a standard queue of SQS may: it is run once at a time."""

import threading
from collections import Counter, OrderedDict
from typing import Any

import pytest

from taskflow import Event, Pool, Registry, Worker, publish
from taskflow.broker.settings import Finish
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery, Message
from tests.contract.wire import SharedClock


def put(broker: AwsBroker, *ids: str, topic: str = "order.created") -> None:
    """Publish, to a standard queue that knows no duplicates."""
    for id in ids:
        broker.publish(topic, [Message(id, f"of {id}")])


def get(broker: AwsBroker, queue: str) -> list[Delivery]:
    return broker.receive(queue, limit=10)


def test_the_second_copy_waits_for_the_first_and_is_finished_then(
    broker: AwsBroker, queue: str, clock: SharedClock
) -> None:
    put(broker, "a", "a")
    first, second = get(broker, queue)
    assert broker.claim([first, second]) == ["free", "running"]
    clock.advance(20)
    assert broker.delete([Finish(first, remember=1000)]) == [True]
    assert get(broker, queue) == []
    clock.advance(9)
    (again,) = get(broker, queue)
    assert again.receive_count == 1, "to be told to wait is no attempt"
    assert broker.claim([again]) == ["finished"]


def test_a_claim_is_extended_with_its_lease(
    broker: AwsBroker, queue: str, clock: SharedClock
) -> None:
    put(broker, "a", "a")
    first, second = get(broker, queue)
    broker.claim([first, second])
    clock.advance(20)
    assert broker.extend([(first, 60)]) == [True]
    clock.advance(20)
    (again,) = get(broker, queue)
    assert broker.claim([again]) == ["running"]
    clock.advance(38)
    assert get(broker, queue) == []
    clock.advance(2)
    assert {one.receive_count for one in get(broker, queue)} == {1, 2}


@pytest.mark.parametrize("end", ["retry", "give back", "lease", "dead letter"])
def test_a_claim_ends_with_the_run(
    broker: AwsBroker, queue: str, clock: SharedClock, end: str
) -> None:
    put(broker, "a")
    (first,) = get(broker, queue)
    assert broker.claim([first]) == ["free"]
    match end:
        case "retry":
            broker.change_visibility([(first, 5)])
            clock.advance(5)
        case "give back":
            broker.give_back([first])
        case "lease":
            clock.advance(30)
        case "dead letter":
            broker.dead_letter([(first, "{}")])
            broker.redrive("work-dlq")
    (again,) = get(broker, queue)
    assert broker.claim([again]) == ["free"]


def test_a_fifo_queue_lends_to_one_so_the_next_may_take_over(
    broker: AwsBroker, clock: SharedClock
) -> None:
    broker.create_queue("work.fifo")
    broker.send("work.fifo", [Message("a", "x", group="g", deduplication_id="1")])
    broker.send("work.fifo", [Message("a", "x", group="h", deduplication_id="2")])
    assert broker.claim(get(broker, "work.fifo")) == ["free", "free"]


def test_when_the_records_cannot_be_asked_nothing_is_claimed(
    broker: AwsBroker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(run: Any, *more: Any) -> Any:
        if run.key.id == "b":
            raise BrokerUnavailable("DynamoDB is away")
        return remembered(run, *more)

    remembered = broker._records.claim
    monkeypatch.setattr(broker._records, "claim", claim)
    monkeypatch.setattr(broker._records, "remote", True)
    put(broker, "a", "b")
    held = get(broker, queue)
    with pytest.raises(BrokerUnavailable, match="DynamoDB is away"):
        broker.claim(held)
    monkeypatch.undo()
    assert broker.claim(held) == ["free", "free"]


def test_claims_far_away_are_made_side_by_side(
    broker: AwsBroker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(*asked: Any) -> Any:
        together.wait(20)
        return remembered(*asked)

    together = threading.Barrier(4)
    remembered = broker._records.claim
    monkeypatch.setattr(broker._records, "claim", claim)
    monkeypatch.setattr(broker._records, "remote", True)
    put(broker, *"abcd")
    assert broker.claim(get(broker, queue)) == ["free"] * 4


def test_a_worker_gives_back_what_it_could_not_claim(
    broker: AwsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise BrokerUnavailable("DynamoDB is away")

    seen: list[str] = []
    registry = Registry()
    registry.subscribe("order.created", queue="work")(lambda text: seen.append(text))
    worker = Worker(broker, registry=registry)
    publish("order.created", "a", broker=broker)
    monkeypatch.setattr(broker._records, "claim", away)
    with pytest.raises(BrokerUnavailable):
        worker.step()
    assert broker.counts("work").visible == 1
    monkeypatch.undo()
    assert len(worker.step()) == 1
    assert seen == ["a"]


def test_two_copies_at_once_are_handled_once(broker: AwsBroker, requests: Counter[str]) -> None:
    """Both threads of a pool receive; one handles, the other leaves it alone."""

    def handle(event: Event[Any]) -> None:
        ran.append(event.id)
        if event.id == "end":
            done.set()
        else:
            begun.set()

    ran: list[str] = []
    begun, done = threading.Event(), threading.Event()
    registry = Registry()
    registry.subscribe("order.created", queue="work")(handle)
    worker = Worker(broker, registry=registry)
    for id in ("a", "a"):
        publish("order.created", {}, id=id, broker=broker)
    pool = Pool(worker, concurrency=2)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert begun.wait(20)
    publish("order.created", {}, id="end", broker=broker)
    assert done.wait(20)
    pool.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert sorted(ran) == ["a", "end"]


def test_a_copy_that_is_given_back_does_not_end_the_first_ones_claim(
    broker: AwsBroker, queue: str
) -> None:
    put(broker, "a", "a")
    first, second = get(broker, queue)
    assert broker.claim([first]) == ["free"]
    broker.give_back([second])
    (again,) = get(broker, queue)
    assert broker.claim([again]) == ["running"]


def test_a_claim_ends_with_its_retry_so_a_purge_leaves_none(broker: AwsBroker, queue: str) -> None:
    put(broker, "a")
    (first,) = get(broker, queue)
    broker.claim([first])
    broker.change_visibility([(first, 36_000)])
    broker.purge(queue)
    put(broker, "a")
    assert broker.claim(get(broker, queue)) == ["free"]


def test_a_copy_is_not_worn_out_by_waiting_for_the_first(
    broker: AwsBroker, queue: str, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time another process tells it to wait: none knows of the others' receives."""
    put(broker, "a", "a")
    first, second = get(broker, queue)
    broker.claim([first, second])
    for _ in range(6):
        clock.advance(20)
        broker.extend([(first, 30)])
        monkeypatch.setattr(broker._receipts, "_known", OrderedDict())
        broker.claim(get(broker, queue))
    assert broker.peek("work-dlq") == []
    broker.delete([Finish(first, remember=1000)])
    clock.advance(30)
    assert broker.claim(get(broker, queue)) == ["finished"]


def test_a_short_lease_has_a_claim_too(broker: AwsBroker, queue: str) -> None:
    put(broker, "a", "a")
    assert broker.claim(broker.receive(queue, limit=2, visibility=1)) == ["free", "running"]


def test_a_copy_that_cannot_be_hidden_is_discounted_once(
    broker: AwsBroker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise BrokerUnavailable("SQS is away")

    put(broker, "a", "a")
    first, second = get(broker, queue)
    broker.claim([first])
    monkeypatch.setattr(broker._directory, "on_queue", away)
    with pytest.raises(BrokerUnavailable):
        broker.claim([second])
    monkeypatch.undo()
    broker.give_back([second])
    (again,) = get(broker, queue)
    assert again.receive_count == 1
