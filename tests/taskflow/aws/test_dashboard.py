"""The dashboard over SQS: what works there, and what says in words that it cannot."""

import json
from collections.abc import Iterator

import pytest

from taskflow.broker.settings import QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.dashboard.redrives import Redrive
from taskflow.dashboard.visitor_rights import READ
from taskflow.message import Message
from taskflow.scheduling.schedules import schedules
from tests.contract.moto_server import moto_broker
from tests.contract.wire import SharedClock
from tests.taskflow.dashboard.conftest import report
from tests.taskflow.dashboard.site_client import Client, hidden_fields, words

pytestmark = pytest.mark.slow


@pytest.fixture
def broker(clock: SharedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBroker]:
    """Over moto: five messages of `work`, and one of its dead letters."""
    with moto_broker(clock, monkeypatch) as opened:
        opened.create_topic("order.created")
        opened.create_queue("work-dlq")
        opened.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
        opened.subscribe("order.created", "work")
        opened.send("work", [Message(f"m{i}", json.dumps({"colour": "green"})) for i in range(5)])
        (held,) = opened.receive("work", limit=1)
        opened.dead_letter([(held, json.dumps({"reason": "no", "handler": "h", "error": "E"}))])
        report(opened, "work")
        yield opened


@pytest.fixture
def client(broker: AwsBroker) -> Client:
    return Client(broker)


def counts(broker: AwsBroker, queue: str) -> tuple[int, int]:
    """What is visible, and what is not."""
    found = broker.counts(queue)
    return found.visible, found.in_flight


def test_what_is_counted_declared_and_reported_is_shown(client: Client, clock: SharedClock) -> None:
    schedules.put("sweep", every="1h", publish=("order.created", {}), broker=client.broker)
    for path, said in (
        ("/", "1 thing needs a person"),
        ("/", "1 dead letter of work"),
        ("/", "does not tell for how long messages are due"),
        ("/queues", "work working 1 4"),
        ("/queues/work", "gets order.created · work-dlq after 3 receives"),
        ("/queues/work-dlq", "Takes the dead letters of work"),
        ("/dead", "1 dead letter In 1 queue."),
        ("/dead", "This broker does not tell why letters are dead."),
        ("/workflows", "0 runs kept, none failed"),
        ("/schedules", "sweep"),
        ("/workers", "1 worker, 1 of 4 slots at work"),
        ("/record", "Nobody did anything here"),
        ("/send", "work-dlq order.created"),
        ("/search?q=work", "2 found for work"),
    ):
        assert said in client.text(path), path
    clock.advance(60)
    client.html("/")
    assert "Waiting waiting dead letters" in client.text("/queues/work")
    assert "1 4" in client.text("/", **{"as": "table"})
    csv = client.get("/queues", q="", **{"as": "csv"})
    assert csv.body.startswith(b"queue,")


def test_no_page_receives_anything_until_somebody_looks(
    client: Client, broker: AwsBroker, clock: SharedClock
) -> None:
    """Else a page that is left open would send all messages to the dead letters."""
    received: list[str] = []
    broker.api.watch_requests(lambda _, operation: received.append(operation))
    for path in ("/", "/queues/work", "/queues/work-dlq", "/dead", "/messages/m1?queue=work"):
        client.html(path)
    assert "ReceiveMessage" not in received
    html = client.html("/queues/work")
    assert "it counts as a receive of each" in html
    assert "green" not in html
    shown = client.press("/queues/work", "look")
    text = words(shown.body.decode())
    assert "colour: green" in text
    assert "4 shown" in text
    assert "newest first" not in text
    assert b"data-every" not in shown.body, "it looks once"
    assert "ReceiveMessage" in received
    assert counts(broker, "work") == (4, 0), "all were given back"
    assert "look" in client.text("/record")
    clock.advance(60)
    one = client.press("/messages/m1?queue=work", "look")
    assert "green" in words(one.body.decode())
    assert b"data-every" not in one.body
    assert client.press("/messages/m77?queue=work", "look").status == 404


def test_a_look_is_good_once_and_for_who_may_act(client: Client, broker: AwsBroker) -> None:
    fields: dict[str, object] = {"queue": "work", "do": "look", "token": ""}
    assert client.post("/act", fields).status == 403
    reader = Client(broker, READ)
    assert "Role act is needed to look." in reader.text("/queues/work")
    (refused,) = broker.list_actions().actions
    assert (refused.result or "").startswith("refused")
    given = {**hidden_fields(client.html("/queues/work"), "look"), "do": "look"}
    assert client.post("/act", given).status == 200
    assert client.post("/act", given).status == 409


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/search?q=state:dead", 400, "Only words are looked for here."),
        ("/search?q=m1", 200, "messages are not found here"),
        ("/queues/work?as=csv", 400, "what lies in a queue is no file"),
        ("/messages/m1", 404, "finds no message without its queue"),
        ("/messages/m1?queue=nosuch", 404, "There is no queue nosuch."),
        (
            "/messages/m0/resend?queue=work-dlq",
            404,
            "cannot put a message in the place of a letter",
        ),
    ],
)
def test_what_cannot_be_had_is_said(client: Client, path: str, status: int, said: str) -> None:
    answer = client.get(path)
    assert answer.status == status
    assert said in words(answer.body.decode())


def test_messages_are_sent_redriven_deleted_and_queues_paused(
    client: Client, broker: AwsBroker, clock: SharedClock
) -> None:
    client.press("/queues/work", "pause-queue")
    assert broker.counts("work").paused
    client.press("/queues/work", "resume-queue")
    shown = client.press("/queues/work-dlq", "look").body.decode()
    assert "Redrive…" in shown
    assert "Move…" not in shown
    clock.advance(60)
    confirm = client.press("/queues/work-dlq", "redrive-queue")
    assert "does not tell whether they die again" in words(confirm.body.decode())
    redrive = Redrive(
        id="r1", who="ada", queue="work-dlq", total=1, before=clock.now(), started_at=clock.now()
    )
    redrive.save(broker)
    while redrive.step(broker):
        pass
    assert redrive.done == 1
    assert counts(broker, "work-dlq") == (0, 0)
    assert counts(broker, "work") == (5, 0)
    ticked = client.press("/queues/work", "look").body.decode()
    clock.advance(60)
    ask = client.post(
        "/act", {**hidden_fields(ticked, "delete-ids"), "do": "delete-ids", "id": ["m1", "m2"]}
    )
    client.confirm(ask, n=2)
    assert counts(broker, "work") == (3, 0)
