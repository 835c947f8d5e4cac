"""Batches: how many requests they are, what happens to what fails alone, and what does not fit."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from taskflow.broker.settings import Finish
from taskflow.brokers.aws.attribute_codec import NAME, Carried, pack, unpack
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.request_batches import cut_by_size, failed, send_batch
from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.message import FAILURE, Attribute, Message
from tests.contract.wire import SharedClock


def messages(count: int, body: str = "x") -> list[Message]:
    return [Message(str(n), body) for n in range(count)]


@pytest.mark.slow
def test_a_thousand_messages_cost_three_hundred_requests(
    broker: AwsBroker, queue: str, requests: Counter[str]
) -> None:
    broker.publish("order.created", messages(1))
    broker.delete([Finish(one) for one in broker.receive(queue)])
    requests.clear()
    for _ in range(10):
        broker.publish("order.created", messages(100))
    taken = 0
    while held := broker.receive(queue, limit=100):
        broker.delete([Finish(one) for one in held])
        taken += len(held)
    assert taken == 1000
    assert requests == {
        "PublishBatch": 100,
        "ReceiveMessage": 101,
        "DeleteMessageBatch": 100,
    }


@pytest.mark.parametrize("way", ["publish", "send"])
def test_batches_keep_below_the_size_limit(
    broker: AwsBroker, queue: str, requests: Counter[str], way: str
) -> None:
    body = "x" * 200_000
    if way == "publish":
        broker.publish("order.created", messages(3, body))
        assert requests["PublishBatch"] == 3
    else:
        broker.send(queue, messages(7, body))
        assert requests["SendMessageBatch"] == 2
    assert len(broker.receive(queue, limit=10)) == (3 if way == "publish" else 7)


def test_a_topic_says_how_much_it_takes(broker: AwsBroker, queue: str) -> None:
    with pytest.raises(LimitExceeded, match=r"takes 262144"):
        broker.publish("order.created", [Message("1", "x" * 262_140)])


def test_what_travels_beside_the_body_comes_back() -> None:
    attributes: dict[str, str | Attribute] = {
        "s": "käse",
        "n": Attribute("Number", "1"),
        "b": Attribute("Binary", b"\0\xff"),
        "empty": "",
        "nothing": Attribute("Binary", b""),
    }
    message = Message("1", "x", attributes)
    parcel = pack(message, Carried(id="1", topic="order.created"), "MessageBody")
    carried, found = unpack(parcel.entry["MessageAttributes"])
    assert carried is not None
    assert (carried.id, carried.topic) == ("1", "order.created")
    assert found == attributes
    assert set(parcel.entry["MessageAttributes"]) == {"s", "n", "b", NAME}


def test_nine_attributes_fit_and_ten_are_refused(broker: AwsBroker, queue: str) -> None:
    nine = {f"a{n}": "x" for n in range(9)}
    broker.publish("order.created", [Message("1", "x", nine)])
    (held,) = broker.receive(queue)
    broker.dead_letter([(held, "{}")])
    assert broker.peek("work-dlq")[0].attributes == nine | {FAILURE: "{}"}
    with pytest.raises(LimitExceeded, match="10 message attributes; 9 are allowed on AWS"):
        broker.publish("order.created", [Message("1", "x", nine | {"a9": "x"})])
    with pytest.raises(LimitExceeded, match="'taskflow' is taskflow's own"):
        broker.publish("order.created", [Message("1", "x", {NAME: "x"})])


def test_concurrent_publishers_share_requests(
    broker: AwsBroker, clock: SharedClock, queue: str, requests: Counter[str]
) -> None:
    def one(n: int) -> str:
        return broker.publish("order.created", [Message(str(n), "x")]).sent[0].id

    with ThreadPoolExecutor(30) as pool:
        begun = [pool.submit(one, n) for n in range(60)]
        while not all(future.done() for future in begun):
            clock.advance(0.001)
        assert [future.result() for future in begun] == [str(n) for n in range(60)]
    assert requests["PublishBatch"] < 60
    assert broker.counts(queue).visible == 60


# ---- what fails -----------------------------------------------------------------------------
class Flaky:
    """Fails entries by their Id, so many times each."""

    def __init__(self, sender: bool = False, **times: int) -> None:
        self.sender = sender
        self.times = {name.removeprefix("e"): count for name, count in times.items()}
        self.asked: list[list[str]] = []

    def __call__(self, entries: list[dict[str, Any]]) -> Mapping[str, Any]:
        ids = [entry["Id"] for entry in entries]
        self.asked.append(ids)
        failing = [id for id in ids if self.times.get(id, 0) > 0]
        for id in failing:
            self.times[id] -= 1
        return {
            "Successful": [{"Id": id} for id in ids if id not in failing],
            "Failed": [{"Id": id, "Code": "No", "SenderFault": self.sender} for id in failing],
        }


@pytest.mark.parametrize(
    ("flaky", "asked", "failed"),
    [
        (Flaky(), [["0", "1", "2"]], []),
        (Flaky(e1=1), [["0", "1", "2"], ["1"]], []),
        (Flaky(e0=1, e1=2), [["0", "1", "2"], ["0", "1"], ["1"]], []),
        (Flaky(e2=9), [["0", "1", "2"], ["2"], ["2"]], [2]),
        (Flaky(e2=9, sender=True), [["0", "1", "2"]], [2]),
    ],
)
def test_what_fails_alone_is_tried_again_alone(
    flaky: Flaky, asked: list[list[str]], failed: list[int]
) -> None:
    answers = send_batch(flaky, [{"x": n} for n in range(3)])
    assert flaky.asked == asked
    assert [n for n, answer in enumerate(answers) if "Code" in answer] == failed


@pytest.mark.parametrize(("sender", "kind"), [(True, LimitExceeded), (False, BrokerUnavailable)])
def test_what_is_not_taken_is_raised_with_its_id(
    broker: AwsBroker,
    queue: str,
    monkeypatch: pytest.MonkeyPatch,
    sender: bool,
    kind: type[Exception],
) -> None:
    flaky = Flaky(sender, e1=9)

    def on_topic(topic: str, method: str, PublishBatchRequestEntries: Any) -> Any:
        answer = flaky(PublishBatchRequestEntries)
        return {**answer, "Successful": [{**one, "MessageId": "m"} for one in answer["Successful"]]}

    monkeypatch.setattr(broker._directory, "on_topic", on_topic)
    with pytest.raises(kind, match=r"1 not taken: topic .* message b: No.*; 2 others"):
        broker.publish("order.created", [Message(id, "x") for id in "abc"])


def test_batches_are_cut_by_number_and_size() -> None:
    parcels = [pack(Message(str(n), "x" * n), Carried(id=str(n)), "Body") for n in range(1, 40)]
    batches = list(cut_by_size(parcels, 200))
    assert [one for batch in batches for one in batch] == parcels
    assert all(len(batch) <= 10 for batch in batches)
    assert all(len(batch) == 1 or sum(one.size for one in batch) <= 200 for batch in batches)


def test_an_entry_that_aws_says_nothing_of_is_tried_again_and_then_failed() -> None:
    asked: list[list[str]] = []

    def send(entries: list[dict[str, Any]]) -> dict[str, Any]:
        asked.append([entry["Id"] for entry in entries])
        return {"Successful": [{"Id": "0", "MessageId": "m"}] if len(entries) > 1 else []}

    sent, missing = send_batch(send, [{}, {}])
    assert (failed(sent), failed(missing)) == (False, True)
    assert missing["Message"] == "AWS did not say what became of it"
    assert asked == [["0", "1"], ["1"], ["1"]]
