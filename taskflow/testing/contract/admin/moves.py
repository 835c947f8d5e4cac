"""Tasks that move messages out of a dead-letter queue, step by step."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import MoveTask
from taskflow.errors import LimitExceeded, MoveTaskNotFound, QueueNotFound
from taskflow.message import FAILURE, Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("moves", "dead_letters")


Bury = Callable[..., None]
NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


@pytest.fixture
def bury(broker: Broker, queue: str) -> Bury:
    """Send messages by id and move them to the DLQ `work-dlq`."""

    def bury(*ids: str, queue: str = queue) -> None:
        broker.send(queue, [Message(id, f"of {id}", {"a": "b"}) for id in ids])
        held = broker.receive(queue, limit=100)
        broker.dead_letter([(one, "{}") for one in held])

    return bury


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def only(broker: Broker, source: str = "work-dlq") -> MoveTask:
    (task,) = broker.moves(source)
    return task


def test_a_task_moves_each_message_to_where_it_came_from(
    broker: Broker, clock: ManualClock, bury: Bury
) -> None:
    broker.create_queue("other", broker.settings("work"))
    bury("1", "2")
    bury("3", queue="other")
    clock.advance(5)
    task = broker.start_move("work-dlq")
    assert task == MoveTask(
        task.handle, "work-dlq", None, None, "RUNNING", moved=0, total=3, started_at=1005.0
    )
    assert only(broker) == task
    assert broker.counts("work-dlq").visible == 3, "starting moves nothing"
    assert broker.step_moves() is False
    assert (only(broker).status, only(broker).moved, only(broker).failure) == ("COMPLETED", 3, None)
    back = broker.receive("work", limit=10)
    assert [(one.id, one.receive_count, one.sent_at, one.source) for one in back] == [
        ("1", 1, 1005.0, None),
        ("2", 1, 1005.0, None),
    ]
    assert FAILURE not in back[0].attributes
    assert ids(broker.receive("other", limit=10)) == ["3"]


def test_a_task_moves_everything_to_its_destination(broker: Broker, bury: Bury) -> None:
    broker.create_queue("aside")
    bury("1", "2")
    broker.send("work-dlq", [Message("of unknown origin", "x")])
    assert broker.start_move("work-dlq", "aside").destination == "aside"
    broker.step_moves()
    assert (only(broker).status, only(broker).moved) == ("COMPLETED", 3)
    assert ids(broker.receive("aside", limit=10)) == ["1", "2", "of unknown origin"]
    assert broker.counts("work").visible == 0


def test_steps_move_so_many_at_most(broker: Broker, bury: Bury) -> None:
    bury(*"12345")
    broker.start_move("work-dlq")
    for moved, running in ((2, True), (4, True), (5, False)):
        assert broker.step_moves(2) is running
        assert only(broker).moved == broker.counts("work").visible == moved


def test_a_rate_is_kept_under_the_clock(broker: Broker, clock: ManualClock, bury: Bury) -> None:
    bury(*"123456789")
    broker.start_move("work-dlq", rate=2)
    moved = []
    for _ in range(5):
        broker.step_moves()
        broker.step_moves()
        moved.append(only(broker).moved)
        clock.advance(1)
    assert moved == [1, 3, 5, 7, 9]
    assert only(broker).status == "COMPLETED"


def test_a_clock_that_goes_back_only_delays(broker: Broker, clock: ManualClock, bury: Bury) -> None:
    clock.advance(100)
    bury("1", "2")
    clock.advance(100)
    broker.start_move("work-dlq", rate=1)
    clock.advance(-50)
    assert broker.step_moves() is True
    clock.advance(51)
    assert broker.step_moves() is False
    assert only(broker).moved == 2


@pytest.mark.parametrize("rate", [0, 501, -1])
def test_a_rate_has_bounds(broker: Broker, bury: Bury, rate: int) -> None:
    with pytest.raises(LimitExceeded, match="1 to 500"):
        broker.start_move("work-dlq", rate=rate)
    assert broker.start_move("work-dlq", rate=500).rate == 500


def test_what_arrives_during_a_task_stays(broker: Broker, bury: Bury) -> None:
    bury("1", "2")
    broker.start_move("work-dlq")
    bury("3")
    broker.step_moves()
    assert only(broker).status == "COMPLETED"
    assert ids(broker.peek("work-dlq")) == ["3"]


def test_messages_in_flight_are_left_alone(broker: Broker, bury: Bury) -> None:
    bury("1", "2")
    (held,) = broker.receive("work-dlq")
    assert broker.start_move("work-dlq").total == 1
    broker.step_moves()
    assert only(broker).moved == 1
    assert ids(broker.peek("work-dlq")) == [held.id]


@needs("repairs")
def test_a_task_ends_when_there_is_nothing_left(broker: Broker, bury: Bury) -> None:
    bury("1", "2")
    broker.start_move("work-dlq")
    broker.purge("work-dlq")
    assert broker.step_moves() is False
    assert (only(broker).status, only(broker).moved) == ("COMPLETED", 0)
    broker.start_move("work-dlq")
    assert broker.step_moves() is False


def test_a_cancelled_task_moves_no_more(broker: Broker, bury: Bury) -> None:
    bury("1", "2", "3")
    task = broker.start_move("work-dlq")
    broker.step_moves(1)
    cancelled = broker.cancel_move(task.handle)
    assert (cancelled.status, cancelled.moved) == ("CANCELLED", 1)
    assert only(broker) == cancelled
    assert broker.step_moves() is False
    assert broker.counts("work-dlq").visible == 2
    for handle in (task.handle, "nosuch"):
        with pytest.raises(MoveTaskNotFound):
            broker.cancel_move(handle)


def test_a_queue_has_one_running_task_at_a_time(
    broker: Broker, clock: ManualClock, bury: Bury
) -> None:
    bury("1")
    first = broker.start_move("work-dlq")
    with pytest.raises(LimitExceeded, match="running already"):
        broker.start_move("work-dlq")
    broker.step_moves()
    clock.advance(1)
    second = broker.start_move("work-dlq")
    assert [task.handle for task in broker.moves("work-dlq")] == [second.handle, first.handle]
    assert [task.status for task in broker.moves()] == ["RUNNING", "COMPLETED"]
    assert broker.moves("work") == []


def test_only_dead_letter_queues_that_exist_are_moved_from(broker: Broker, queue: str) -> None:
    with pytest.raises(LimitExceeded, match="no queue's dead-letter queue"):
        broker.start_move("work")
    for arguments in (("nosuch",), ("work-dlq", "nosuch")):
        with pytest.raises(QueueNotFound):
            broker.start_move(*arguments)
    assert broker.moves() == []


@needs("fifo")
def test_the_destination_is_of_the_same_kind(broker: Broker, queue: str, fifo: str) -> None:
    for source, destination in (("work-dlq", "work.fifo"), ("work-dlq.fifo", "work")):
        with pytest.raises(LimitExceeded, match="FIFO"):
            broker.start_move(source, destination)


@pytest.mark.parametrize("gone", ["source", "destination", "home"])
def test_a_task_fails_when_a_queue_is_deleted(broker: Broker, bury: Bury, gone: str) -> None:
    broker.create_queue("aside")
    broker.create_queue("other", broker.settings("work"))
    bury("1", "2", queue="other")
    broker.start_move("work-dlq", None if gone == "home" else "aside")
    broker.step_moves(1)
    broker.delete_queue({"source": "work-dlq", "destination": "aside", "home": "other"}[gone])
    assert broker.step_moves() is False
    task = only(broker)
    assert (task.status, task.moved, task.failure) == ("FAILED", 1, NO_QUEUE)
    if gone != "source":
        assert ids(broker.peek("work-dlq")) == ["2"], "nothing is lost"


def test_a_message_that_came_from_nowhere_fails_the_task(broker: Broker, bury: Bury) -> None:
    bury("1")
    broker.send("work-dlq", [Message("2", "x")])
    broker.start_move("work-dlq")
    assert broker.step_moves() is False
    task = only(broker)
    assert (task.status, task.moved) == ("FAILED", 1)
    assert task.failure == "CouldNotDetermineMessageSource"
    assert ids(broker.peek("work-dlq")) == ["2"]


@needs("repairs")
@pytest.mark.parametrize("verb", ["step_moves", "redrive"])
def test_letters_past_their_retention_do_not_come_back(
    broker: Broker, clock: ManualClock, bury: Bury, verb: str
) -> None:
    bury("old")
    clock.advance(14 * 86400 - 1)
    bury("new")
    clock.advance(1)
    if verb == "redrive":
        assert broker.redrive("work-dlq") == 1
    else:
        assert broker.start_move("work-dlq").total == 1
        while broker.step_moves():
            pass
    assert ids(broker.receive("work", limit=10)) == ["new"]


def test_a_step_wakes_whoever_waits(
    broker: Broker, bury: Bury, poll: Callable[..., Future[list[Delivery]]]
) -> None:
    bury("1")
    polling = poll("work")
    broker.start_move("work-dlq")
    broker.step_moves()
    assert ids(polling.result(5)) == ["1"]


@needs("fifo")
def test_a_fifo_dlq_moves_groups_in_order(broker: Broker, fifo: str) -> None:
    def message(id: str) -> Message:
        return Message(id, "x", group=id[0], deduplication_id=id)

    broker.send(fifo, [message(id) for id in ("a1", "b1", "a2", "b2", "a3")])
    broker.dead_letter([(one, "{}") for one in broker.receive(fifo, limit=10)])
    broker.send(fifo, [message("a4")])
    broker.start_move("work-dlq.fifo")
    while broker.step_moves(2):
        pass
    moved = broker.receive(fifo, limit=10)
    assert ids([one for one in moved if one.group == "a"]) == ["a4", "a1", "a2", "a3"]
    assert ids([one for one in moved if one.group == "b"]) == ["b1", "b2"]


__all__ = collected(globals(), NEEDS)
