"""Messages for URLs: what is posted, how often, and what becomes of what nobody took."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.message import Attribute, Message
from taskflow.server.backend import Backend
from taskflow.server.deliveries import AT_ONCE_EACH, TIMEOUT, Deliveries
from taskflow.server.delivery_policy import read_policy
from taskflow.server.http_client import HttpClient
from taskflow.testing import ManualClock
from tests.taskflow.server.wire import Run
from tests.taskflow.telemetry.conftest import spans

__all__ = ["spans"]
TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
ID = "01900000-0000-7000-8000-000000000001"
HTTP = TopicSubscription(ID, "orders", "http", "http://example.com/hook", raw=False)


@dataclass
class Client:
    """Notes what is posted, and answers with `answers`, the last one again and again."""

    answers: list[int | Exception] = field(default_factory=lambda: [200])
    posted: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> int:
        assert timeout == TIMEOUT
        self.posted.append((url, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def client() -> Client:
    """What stands for the network."""
    return Client()


@pytest.fixture
def deliveries(backend: Backend, client: Client) -> Deliveries:
    """Deliveries of a broker that has the topic `orders` and the queue `dead`."""
    backend.broker.create_topic("orders")
    backend.broker.create_queue("dead")
    return Deliveries(backend, client)


@pytest.fixture
def step(deliveries: Deliveries, run: Run[int]) -> Any:
    """Deliver what is due; answers how many messages that were."""
    return lambda: run(deliveries.step())


# ---- what is posted -----------------------------------------------------------------------------
def test_a_notification_is_posted_in_its_envelope(
    step: Any, client: Client, taskflow_broker: Broker
) -> None:
    taskflow_broker.put_subscription(HTTP)
    message = Message("m1", "hellø", {"n": Attribute("Number", "1")}, subject="About")
    taskflow_broker.publish("orders", [message])
    assert step() == 1
    ((url, headers, body),) = client.posted
    assert url == "http://example.com/hook"
    assert headers == {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "m1",
        "x-amz-sns-topic-arn": TOPIC,
        "x-amz-sns-subscription-arn": f"{TOPIC}:{ID}",
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    envelope = json.loads(body)
    assert (envelope["Type"], envelope["MessageId"]) == ("Notification", "m1")
    assert (envelope["Message"], envelope["Subject"]) == ("hellø", "About")
    assert envelope["MessageAttributes"] == {"n": {"Type": "Number", "Value": "1"}}
    assert envelope["Timestamp"] == "2027-01-15T08:00:00.000Z"
    assert step() == 0


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_post_is_in_the_trace_of_its_message(
    step: Any, client: Client, taskflow_broker: Broker, spans: Callable[[], list[Any]]
) -> None:
    taskflow_broker.put_subscription(HTTP)
    body = f'{{"traceparent": "{PARENT}", "tracestate": "vendor=1"}}'
    taskflow_broker.publish("orders", [Message("m1", body)])
    client.answers = [503, ConnectionRefusedError("no"), 200]
    step()
    clock = taskflow_broker.clock
    assert isinstance(clock, ManualClock)
    for _ in range(2):
        clock.advance(20)
        step()
    posts = [one for one in spans() if one.name == "post orders"]
    assert len(posts) == len(client.posted) == 3
    for span, (_, headers, posted) in zip(posts, client.posted, strict=True):
        assert headers["traceparent"] == (
            f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
        )
        assert headers["tracestate"] == "vendor=1"
        assert json.loads(posted)["Message"] == body
        assert f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01" == PARENT
        assert span.kind.name == "CLIENT"
        assert span.attributes["server.address"] == "example.com"
        assert not any("hook" in str(value) for value in span.attributes.values())
    told = [
        (one.attributes.get("http.response.status_code"), one.attributes.get("error.type"))
        for one in posts
    ]
    assert told == [(503, "503"), (None, "ConnectionRefusedError"), (200, None)]


def test_a_post_of_what_brought_no_trace_begins_one(
    step: Any, client: Client, taskflow_broker: Broker, spans: Callable[[], list[Any]]
) -> None:
    taskflow_broker.put_subscription(HTTP)
    bad = f'{{"traceparent": "{PARENT}", "tracestate": "no such thing"}}'
    for number, body in enumerate(("hello", '{"traceparent": 7}', '{"traceparent": "x"}', bad)):
        taskflow_broker.publish("orders", [Message(f"m{number}", body)])
    header = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
    taskflow_broker.publish("orders", [Message("m4", "hello", trace=header)])
    while step():
        pass
    within = {
        headers["x-amz-sns-message-id"]: PARENT[3:35] in headers["traceparent"]
        for _, headers, _ in client.posted
    }
    assert within == {"m0": False, "m1": False, "m2": False, "m3": True, "m4": True}
    assert not any("tracestate" in headers for _, headers, _ in client.posted)


def test_a_raw_message_is_posted_as_it_is(
    step: Any, client: Client, taskflow_broker: Broker
) -> None:
    policy = '{"requestPolicy":{"headerContentType":"application/json"}}'
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", others={"DeliveryPolicy": policy})
    )
    taskflow_broker.publish("orders", [Message("m1", "d", bodies={"http": '{"a": 1}'})])
    step()
    ((_, headers, body),) = client.posted
    assert body == b'{"a": 1}'
    assert headers["x-amz-sns-rawdelivery"] == "true"
    assert headers["Content-Type"] == "application/json"


def test_a_filter_holds_for_urls_too(step: Any, client: Client, taskflow_broker: Broker) -> None:
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", filter_policy='{"k": ["a"]}')
    )
    messages = [Message(kind, kind, {"k": kind}) for kind in ("a", "b")]
    taskflow_broker.publish("orders", messages)
    step()
    assert [body for _, _, body in client.posted] == [b"a"]


def test_subscribing_asks_the_url_and_the_token_confirms(
    step: Any,
    sns: Any,
    client: Client,
    taskflow_broker: Broker,
    spans: Callable[[], list[Any]],
) -> None:
    sns.subscribe(TopicArn=TOPIC, Protocol="http", Endpoint="http://x/y")
    step()
    ((url, headers, body),) = client.posted
    asked = json.loads(body)
    assert url == "http://x/y"
    assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert "x-amz-sns-subscription-arn" not in headers
    assert "traceparent" not in headers, "a question is of no trace"
    assert headers["x-amz-sns-message-id"] == asked["MessageId"]
    assert (asked["Type"], asked["TopicArn"]) == ("SubscriptionConfirmation", TOPIC)
    assert asked["SubscribeURL"].endswith(
        f"/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={asked['Token']}"
    )
    sns.confirm_subscription(TopicArn=TOPIC, Token=asked["Token"])
    sns.publish(TopicArn=TOPIC, Message="hello")
    step()
    assert len(client.posted) == 2
    assert client.posted[1][1]["x-amz-sns-message-type"] == "Notification"


def test_a_question_is_repeated_until_it_is_answered(
    step: Any, sns: Any, client: Client, taskflow_clock: ManualClock
) -> None:
    client.answers = [500]
    call = {"TopicArn": TOPIC, "Protocol": "http", "Endpoint": "http://x"}
    sns.subscribe(**call)
    step()
    taskflow_clock.advance(20)
    step()
    assert len(client.posted) == 2
    token = json.loads(client.posted[0][2])["Token"]
    sns.confirm_subscription(TopicArn=TOPIC, Token=token)
    taskflow_clock.advance(20)
    assert step() == 1
    assert len(client.posted) == 2


# ---- again --------------------------------------------------------------------------------------
@pytest.mark.parametrize("failure", [500, 503, 429, 302, 199, OSError("no route"), ValueError("x")])
def test_what_fails_is_tried_again_after_20_seconds(
    step: Any,
    client: Client,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    failure: int | Exception,
) -> None:
    client.answers = [failure, 204]
    taskflow_broker.put_subscription(HTTP)
    taskflow_broker.publish("orders", [Message("m1", "x")])
    assert step() == 1
    taskflow_clock.advance(19.9)
    assert step() == 0
    taskflow_clock.advance(0.1)
    assert step() == 1
    assert client.posted[0] == client.posted[1]
    taskflow_clock.advance(1000)
    assert step() == 0


def test_after_three_retries_it_is_a_dead_letter(
    step: Any, client: Client, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    client.answers = [500]
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", raw=False, dead_letter_queue="dead")
    )
    taskflow_broker.publish("orders", [Message("m1", "x", {"a": "1"})])
    for _ in range(4):
        assert taskflow_broker.receive("dead") == []
        step()
        taskflow_clock.advance(20)
    assert step() == 0
    assert len(client.posted) == 4
    (dead,) = taskflow_broker.receive("dead")
    assert dead.body.encode() == client.posted[0][2]
    assert dead.attributes == {}


@pytest.mark.parametrize("status", [400, 403, 404, 410, 499])
def test_a_refusal_is_not_tried_again(
    step: Any,
    client: Client,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    status: int,
) -> None:
    client.answers = [status]
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", dead_letter_queue="dead")
    )
    taskflow_broker.publish("orders", [Message("m1", "x", {"a": "1"})])
    step()
    taskflow_clock.advance(1000)
    assert step() == 0
    (dead,) = taskflow_broker.receive("dead")
    assert (dead.body, dead.attributes) == ("x", {"a": "1"})


def test_two_subscriptions_share_a_dead_letter_queue(
    step: Any, client: Client, taskflow_broker: Broker
) -> None:
    client.answers = [404]
    for id in ("1", "2"):
        taskflow_broker.put_subscription(
            TopicSubscription(id, "orders", "http", f"http://{id}", dead_letter_queue="dead")
        )
    taskflow_broker.publish("orders", [Message("m1", "x")])
    step()
    assert len(taskflow_broker.receive("dead", limit=10)) == 2


@pytest.mark.parametrize("target", [None, "gone"])
def test_without_a_dead_letter_queue_it_is_dropped_and_said_so(
    step: Any,
    client: Client,
    taskflow_broker: Broker,
    caplog: pytest.LogCaptureFixture,
    target: str | None,
) -> None:
    client.answers = [404]
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", dead_letter_queue=target)
    )
    taskflow_broker.publish("orders", [Message("m1", "x")])
    step()
    assert taskflow_broker.peek(f"~{ID}") == []
    assert "message m1" in caplog.text
    assert "dropped" in caplog.text


def test_what_was_unsubscribed_meanwhile_is_forgotten(
    backend: Backend, run: Run[int], taskflow_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    class Unsubscribing(Client):
        def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> int:
            taskflow_broker.unsubscribe(ID)
            return 200

    taskflow_broker.create_topic("orders")
    taskflow_broker.put_subscription(HTTP)
    taskflow_broker.publish("orders", [Message("m1", "x")])
    assert run(Deliveries(backend, Unsubscribing()).step()) == 1
    assert taskflow_broker.subscriptions() == []
    assert caplog.text == ""


# ---- policies -----------------------------------------------------------------------------------
PHASES = {
    "minDelayTarget": 1,
    "maxDelayTarget": 16,
    "numRetries": 9,
    "numNoDelayRetries": 1,
    "numMinDelayRetries": 1,
    "numMaxDelayRetries": 2,
}


@pytest.mark.parametrize(
    ("function", "growing"),
    [
        ("linear", [1, 4.75, 8.5, 12.25, 16]),
        ("arithmetic", [1, 1.9375, 4.75, 9.4375, 16]),
        ("geometric", [1, 2, 4, 8, 16]),
        ("exponential", [1, 2, 4, 8, 16]),
    ],
)
def test_a_policy_has_four_phases(function: str, growing: list[float]) -> None:
    policy = read_policy(
        json.dumps({"healthyRetryPolicy": {**PHASES, "backoffFunction": function}}), None
    )
    delays = [policy.delay(retry) for retry in range(1, 11)]
    assert delays == pytest.approx([0, 1, *growing, 16, 16, None])


def test_a_single_growing_retry_is_the_shortest() -> None:
    text = '{"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":9,"numRetries":1}}'
    for function in ("linear", "arithmetic", "geometric", "exponential"):
        policy = json.loads(text)
        policy["healthyRetryPolicy"]["backoffFunction"] = function
        assert read_policy(json.dumps(policy), None).delay(1) == 5


def test_a_subscriptions_policy_decides_when(
    step: Any, client: Client, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    client.answers = [500]
    policy = '{"healthyRetryPolicy":{"numRetries":1,"minDelayTarget":3,"maxDelayTarget":3}}'
    taskflow_broker.put_subscription(
        TopicSubscription(ID, "orders", "http", "http://x", others={"DeliveryPolicy": policy})
    )
    taskflow_broker.publish("orders", [Message("m1", "x")])
    step()
    taskflow_clock.advance(3)
    assert step() == 1
    taskflow_clock.advance(1000)
    assert step() == 0


def test_a_topics_policy_decides_for_those_without(
    step: Any, client: Client, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    client.answers = [500]
    policy = '{"http":{"defaultHealthyRetryPolicy":{"numRetries":0}}}'
    taskflow_broker.set_topic("orders", TopicSettings(others={"DeliveryPolicy": policy}))
    taskflow_broker.put_subscription(HTTP)
    taskflow_broker.publish("orders", [Message("m1", "x")])
    step()
    taskflow_clock.advance(1000)
    assert step() == 0


# ---- many ---------------------------------------------------------------------------------------
def test_a_url_with_many_messages_leaves_room_for_others(
    step: Any, client: Client, taskflow_broker: Broker
) -> None:
    taskflow_broker.create_topic("other")
    taskflow_broker.put_subscription(TopicSubscription("1", "orders", "http", "http://busy"))
    taskflow_broker.put_subscription(TopicSubscription("2", "other", "http", "http://calm"))
    taskflow_broker.publish("orders", [Message(f"m{i}", "x") for i in range(100)])
    taskflow_broker.publish("other", [Message("m", "x")])
    assert step() == AT_ONCE_EACH + 1
    assert "http://calm" in {url for url, _, _ in client.posted}


@pytest.fixture
def hook() -> Iterator[tuple[str, list[tuple[str, Mapping[str, str], bytes]], threading.Event]]:
    """A real server on this machine: its URL, what was posted to it, and when there is something.
    It redirects /moved, and answers 200 otherwise."""
    posted: list[tuple[str, Mapping[str, str], bytes]] = []
    heard = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            posted.append((self.path, dict(self.headers), body))
            self.send_response(302 if self.path == "/moved" else 200)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()
            heard.set()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted, heard
        server.shutdown()
        thread.join()


def test_the_loop_posts_to_a_real_server(
    backend: Backend, run: Run[Any], hook: Any, taskflow_broker: Broker
) -> None:
    url, posted, heard = hook
    taskflow_broker.create_topic("orders")

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(Deliveries(backend).run())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task = run(begin())
    # The loop is there first: it hears of the subscription, and then of the message.
    taskflow_broker.put_subscription(TopicSubscription(ID, "orders", "http", f"{url}/a?b=c"))
    taskflow_broker.publish("orders", [Message("m1", "hellø")])
    assert heard.wait(30)
    run(end())
    ((path, headers, body),) = posted
    assert (path, body) == ("/a?b=c", "hellø".encode())
    assert headers["x-amz-sns-message-id"] == "m1"
    assert headers["User-Agent"] == "Amazon Simple Notification Service Agent"


def test_what_becomes_due_while_it_is_asked_what_is_due_next_is_posted(
    backend: Backend, run: Run[Any], taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    taskflow_broker.create_topic("orders")
    taskflow_broker.put_subscription(HTTP)
    taskflow_broker.publish("orders", [Message("m1", "x")])
    taskflow_broker.change_visibility([(one, 20) for one in taskflow_broker.receive(HTTP.queue)])
    clock, next_due = taskflow_broker.clock, taskflow_broker.next_due
    assert isinstance(clock, ManualClock)
    posted = threading.Event()

    def slow(*queues: str) -> float | None:
        clock.advance(20)
        return next_due(*queues)

    class Noting(Client):
        def post(self, *args: Any, **more: Any) -> int:
            posted.set()
            return super().post(*args, **more)

    monkeypatch.setattr(taskflow_broker, "next_due", slow)

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(Deliveries(backend, Noting()).run())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task = run(begin())
    try:
        assert posted.wait(30)
    finally:
        run(end())


def test_redirects_are_not_followed(hook: Any) -> None:
    url, posted, _ = hook
    assert HttpClient().post(f"{url}/moved", {}, b"x", 5.0) == 302
    assert [path for path, _, _ in posted] == ["/moved"]


def test_a_user_in_the_url_is_sent(hook: Any) -> None:
    url, posted, _ = hook
    HttpClient().post(url.replace("//", "//me:p%40ss@"), {}, b"x", 5.0)
    ((path, headers, _),) = posted
    assert (path, headers["Authorization"]) == ("/", "Basic bWU6cEBzcw==")
