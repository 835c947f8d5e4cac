"""Move tasks: AWS moves by itself; what the broker asks for, and what it reads of it."""

import pytest

from taskflow.broker.settings import Finish, QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import LimitExceeded, MoveTaskNotFound, QueueNotFound
from taskflow.message import Message


def bury(broker: AwsBroker, *ids: str) -> None:
    broker.send("work", [Message(id, "x") for id in ids])
    broker.dead_letter([(one, "{}") for one in broker.receive("work", limit=10)])


def test_letters_go_back_to_the_one_queue_they_can_have_come_from(
    broker: AwsBroker, queue: str
) -> None:
    bury(broker, "1", "2")
    task = broker.start_move("work-dlq", rate=5)
    assert (task.source, task.destination, task.rate, task.total) == ("work-dlq", "work", 5, 2)
    assert (task.status, task.started_at) == ("RUNNING", 1000.0)
    assert broker.moves() == broker.moves("work-dlq") == [task]
    assert broker.step_moves() is True
    with pytest.raises(LimitExceeded, match="running already"):
        broker.start_move("work-dlq")
    assert broker.cancel_move(task.handle).status == "CANCELLED"
    assert broker.step_moves() is False


def test_of_several_queues_aws_must_know(broker: AwsBroker, queue: str) -> None:
    broker.create_queue("other", QueueSettings(dead_letter_queue="work-dlq", max_receives=1))
    bury(broker, "1")
    assert broker.start_move("work-dlq").destination is None


def test_a_moved_letter_is_no_letter(broker: AwsBroker, queue: str) -> None:
    bury(broker, "1")
    sqs, url = broker.api.client("sqs"), broker._directory.url
    (letter,) = sqs.receive_message(QueueUrl=url("work-dlq"), MessageAttributeNames=["All"])[
        "Messages"
    ]
    sqs.send_message(
        QueueUrl=url("work"),
        MessageBody=letter["Body"],
        MessageAttributes=letter["MessageAttributes"],
    )
    (back,) = broker.receive("work")
    assert (back.id, back.attributes, back.source, back.receive_count) == ("1", {}, None, 1)


@pytest.mark.parametrize("rate", [0, 501])
def test_a_rate_has_bounds(broker: AwsBroker, queue: str, rate: int) -> None:
    with pytest.raises(LimitExceeded, match="1 to 500"):
        broker.start_move("work-dlq", rate=rate)


def test_what_cannot_be_moved_is_refused(broker: AwsBroker, queue: str) -> None:
    broker.create_queue("work.fifo")
    with pytest.raises(LimitExceeded, match="no queue's dead-letter queue"):
        broker.start_move("work", "work-dlq")
    with pytest.raises(LimitExceeded, match="FIFO"):
        broker.start_move("work-dlq", "work.fifo")
    with pytest.raises(QueueNotFound):
        broker.start_move("nosuch")
    with pytest.raises(MoveTaskNotFound):
        broker.cancel_move("nosuch")


def test_all_letters_of_a_group_are_redriven_in_order(broker: AwsBroker) -> None:
    """SQS hands out no more of a group than ten while those are in flight."""
    broker.create_queue("dead.fifo")
    broker.create_queue("work.fifo", QueueSettings(dead_letter_queue="dead.fifo", max_receives=3))
    names = [f"{n:02}" for n in range(25)]
    broker.send("work.fifo", [Message(n, "x", group="g", deduplication_id=n) for n in names])
    while held := broker.receive("work.fifo", limit=10):
        broker.dead_letter([(one, "{}") for one in held])
    assert broker.redrive("dead.fifo", limit=22) == 22
    assert broker.redrive("dead.fifo") == 3
    back = []
    while held := broker.receive("work.fifo", limit=10):
        back += [(one.id, one.deduplication_id) for one in held]
        broker.delete([Finish(one) for one in held])
    assert back == [(n, n) for n in names]
