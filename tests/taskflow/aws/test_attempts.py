"""How receives become attempts: what SQS counts and a worker does not."""

import json

from taskflow.broker.settings import Finish
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.message import FAILURE, Message
from taskflow.wire.redrive import HEADROOM
from tests.contract.wire import SharedClock


def test_sqs_itself_allows_more_receives_than_the_broker(broker: AwsBroker, queue: str) -> None:
    url = broker.api.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    answer = broker.api.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["RedrivePolicy"]
    )
    policy = json.loads(answer["Attributes"]["RedrivePolicy"])
    assert policy["maxReceiveCount"] == 3 + HEADROOM
    assert broker.settings(queue).max_receives == 3


def test_looking_and_giving_back_uses_no_attempts_up(broker: AwsBroker, queue: str) -> None:
    broker.publish("order.created", [Message("1", "x")])
    for _ in range(3):
        broker.give_back(broker.receive(queue))
        assert [one.receive_count for one in broker.peek(queue)] == [0]
    assert broker.receive(queue)[0].receive_count == 1


def test_a_message_that_kills_its_workers_is_dead_after_its_attempts(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    broker.publish("order.created", [Message("1", "x")])
    for attempt in (1, 2, 3):
        assert broker.receive(queue)[0].receive_count == attempt
        clock.advance(30)
    assert broker.receive(queue) == []
    (letter,) = broker.receive("work-dlq")
    record = json.loads(str(letter.attributes[FAILURE]))
    assert (record["attempts"], record["topic"], letter.source) == (3, "order.created", "work")
    assert broker.counts(queue).dead_lettered == 1


def test_sqs_moves_what_the_broker_does_not(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    """Somebody else receives without counting; the broker takes SQS's own dead letters too."""
    broker.publish("order.created", [Message("1", "x")])
    sqs = broker.api.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    for _ in range(3 + HEADROOM):
        assert sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    assert broker.receive(queue) == []
    (letter,) = broker.receive("work-dlq", visibility=0.0)
    assert (letter.id, letter.topic, letter.source) == ("1", "order.created", "work")
    assert broker.redrive("work-dlq") == 1
    (back,) = broker.receive(queue)
    assert (back.receive_count, back.source) == (1, None)


def test_a_dead_letter_is_sent_before_the_message_is_deleted(broker: AwsBroker, queue: str) -> None:
    order: list[str] = []
    broker.publish("order.created", [Message("1", "x")])
    (held,) = broker.receive(queue)
    broker.api.watch_requests(lambda _, operation: order.append(operation))
    assert broker.dead_letter([(held, "{}")]) == [True]
    assert [name for name in order if name.endswith("Batch")] == [
        "SendMessageBatch",
        "DeleteMessageBatch",
    ]


def test_a_failure_record_that_does_not_fit_is_cut(broker: AwsBroker, queue: str) -> None:
    body = "x" * (1024 * 1024 - 3000)
    broker.send(queue, [Message("1", body)])
    (held,) = broker.receive(queue)
    failure = json.dumps({"reason": "no", "traceback": "y" * 8000})
    assert broker.dead_letter([(held, failure)]) == [True]
    (letter,) = broker.receive("work-dlq")
    assert letter.body == body
    assert json.loads(str(letter.attributes[FAILURE])) == {"reason": "no"}


def test_a_message_of_somebody_else_keeps_its_own_id(broker: AwsBroker, queue: str) -> None:
    sqs = broker.api.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    text = {"DataType": "String", "StringValue": "{not ours"}
    sent = sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes={"taskflow": text})
    (one,) = broker.receive(queue)
    assert (one.id, one.topic, one.attributes) == (sent["MessageId"], "", {})
    assert broker.delete([Finish(one)]) == [True]
