"""A shop with a bit of everything."""

import json

import pytest

from taskflow.broker import Broker, QueueSettings, WorkerReport
from taskflow.message import Message
from taskflow.wire.failure_record import failure_record
from tests.taskflow.dashboard.site_client import Client

CARD = "4242424242424242"
HOSTILE = "<script>alert('mine')</script>"
TRACEBACK = f"""Traceback (most recent call last):
  File "/srv/shop/mail.py", line 61, in send
    client.send(card='{CARD}')
shop.mail.Refused: no such user {HOSTILE}
"""


def bury(broker: Broker, count: int, error: str = "shop.mail.Refused", place: str = "mail") -> None:
    """So many dead letters of `work`, which died of the same."""
    body = json.dumps({"order": "ord_1", "payment": {"card_number": CARD}, "note": HOSTILE})
    start = sum(one.count for one in broker.causes())
    broker.send("work", [Message(f"d{start + i}", body) for i in range(count)])
    found = broker.receive("work", limit=count)
    assert len(found) == count
    entries = []
    for one in found:
        record = failure_record(
            "failed 3 times",
            one,
            3,
            broker.clock.now(),
            handler="send_mail",
            error=error,
            message=f"no such user, card {CARD} {HOSTILE}",
            traceback=TRACEBACK.replace("mail.py", f"{place}.py"),
        )
        entries.append((one, json.dumps(record)))
    assert all(broker.dead_letter(entries))


def report(broker: Broker, *queues: str, id: str = "w1", busy: int = 1, does: str = "") -> None:
    """A worker says that it works on these queues."""
    broker.report(
        WorkerReport(
            id=id,
            host="mail-1",
            pid=3988,
            queues=queues,
            started_at=broker.clock.now() - 100,
            busy=busy,
            slots=4,
            handlers={"send_mail": {"runs": 200, "failed": 3, "seconds": 50.0, "most": 4.8}},
            failures=[],
            running=[
                {
                    "queue": queues[0],
                    "handler": "send_mail",
                    "id": "m-7",
                    "since": broker.clock.now() - 12,
                }
            ],
            does=does,
            times={queues[0]: {"send_mail": {0: 150, 2: 50}}},
        )
    )


@pytest.fixture
def shop(taskflow_broker: Broker) -> Broker:
    """Queue `work` with its DLQ, three others, and topic `made` that feeds `work`."""
    broker = taskflow_broker
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
    for name in ("bill-1", "bill-2", "other"):
        broker.create_queue(name)
    broker.create_topic("made")
    broker.subscribe("made", "work")
    return broker


@pytest.fixture
def client(shop: Broker) -> Client:
    """Somebody who may do all."""
    return Client(shop)
