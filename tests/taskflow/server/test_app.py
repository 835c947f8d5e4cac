"""The app around the dialects: bodies, callers, regions, pages, clients that go away."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from taskflow.errors import BrokerFileError, QueueNotFound
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.server.wire_call import Call, Caller
from taskflow.wire.error_codes import common_error
from tests.taskflow.server.wire import (
    FORM,
    HOST,
    JSON,
    Actions,
    ask,
    get,
    make_app,
    make_scope,
    post,
    post_form,
    post_json,
)

TARGET = ("x-amz-target", "AmazonSQS.ListQueues")
QUEUE_PATH = "/000000000000/orders"


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(200, (("content-type", "text/plain"),), request.body or b"hello")


# ---- what an action is given --------------------------------------------------------------------
def test_a_call_says_who_where_and_when() -> None:
    actions = Actions()
    caller = Caller("123456789012", "arn:aws:iam::123456789012:user/ann", "TF2")
    asked: list[Any] = []

    def authorize(request: HttpRequest, service: str, action: str) -> Caller:
        asked.append((request.body, service, action))
        return caller

    app = make_app(actions, authorize=authorize)
    post_json(app, "ListQueues", {"QueueNamePrefix": "a"})
    (call,) = actions.calls
    assert (call.service, call.action) == ("sqs", "ListQueues")
    assert call.params == {"QueueNamePrefix": "a"}
    assert (call.account, call.caller) == ("123456789012", caller)
    assert (call.region, call.base_url) == ("us-east-1", "http://localhost:9324")
    assert (call.request_id, call.now) == ("r1", 1000.0)
    assert not call.gone.is_set()
    assert asked == [(b'{"QueueNamePrefix": "a"}', "sqs", "ListQueues")]


@pytest.mark.parametrize(
    ("host", "public_url", "base"),
    [
        ("q.example", None, "http://q.example"),
        ("[::1]:9324", None, "http://[::1]:9324"),
        ("a b", None, "http://127.0.0.1:9324"),
        ("<script>", None, "http://127.0.0.1:9324"),
        ("", None, "http://127.0.0.1:9324"),
        ("q.example", "https://public.example", "https://public.example"),
    ],
)
def test_queue_urls_are_under_the_host_that_the_client_used(
    host: str, public_url: str | None, base: str
) -> None:
    actions = Actions()
    app = make_app(actions, public_url=public_url)
    scope = make_scope("GET", "/", "Action=ListQueues", (("host", host),))
    asyncio.run(ask(app, scope))
    assert actions.calls[0].base_url == base


@pytest.mark.parametrize(
    ("signed", "host", "region"),
    [
        ("eu-west-1", "localhost", "eu-west-1"),
        ("eu-west-1", "sqs.us-west-2.amazonaws.com", "eu-west-1"),
        (None, "sqs.us-west-2.amazonaws.com:443", "us-west-2"),
        (None, "localhost", "us-east-1"),
        ("a/b", "localhost", "us-east-1"),
        ("", "localhost", "us-east-1"),
    ],
)
def test_the_region_is_the_signed_one_then_the_hosts(
    signed: str | None, host: str, region: str
) -> None:
    actions = Actions()
    found = None if signed is None else ("TF1", signed, "sqs")
    app = make_app(actions, scope_of=lambda _: found)
    asyncio.run(ask(app, make_scope("GET", "/", "Action=ListQueues", (("host", host),))))
    assert actions.calls[0].region == region


@pytest.mark.parametrize("given", [{}, {"QueueUrl": ""}])
def test_a_queue_url_may_come_from_the_path(given: Mapping[str, str]) -> None:
    actions = Actions()
    app = make_app(actions)
    post_form(app, {"Action": "PurgeQueue", **given}, QUEUE_PATH)
    post_json(app, "PurgeQueue", given, QUEUE_PATH)
    get(app, QUEUE_PATH, "Action=PurgeQueue")
    urls = [call.params["QueueUrl"] for call in actions.calls]
    assert urls == [f"http://localhost:9324{QUEUE_PATH}"] * 3


def test_a_queue_url_in_the_parameters_goes_before_the_path() -> None:
    actions = Actions()
    app = make_app(actions)
    post_form(app, {"Action": "PurgeQueue", "QueueUrl": "u"}, QUEUE_PATH)
    assert [call.params for call in actions.calls] == [{"QueueUrl": "u"}]
    assert post_form(app, {"Action": "PurgeQueue"}, "/queue/orders").xml["Code"] == (
        "MissingParameter"
    )


# ---- refusing and failing -----------------------------------------------------------------------
def test_nobody_is_let_in_unasked() -> None:
    actions = Actions()

    def refuse(*_: Any) -> Caller:
        raise common_error("SignatureDoesNotMatch", "No.")

    app = make_app(actions, authorize=refuse)
    answer = post_json(app, "PurgeQueue", b"{not read")
    assert (answer.status, answer.json["message"]) == (403, "No.")
    assert answer.headers["x-amzn-query-error"] == "SignatureDoesNotMatch;Sender"
    assert post_form(app, {"Action": "ListTopics"}).xml["Code"] == "SignatureDoesNotMatch"
    assert not actions.calls


def test_a_signature_that_cannot_be_read_is_for_authorize_to_refuse() -> None:
    def fail(_: HttpRequest) -> None:
        raise common_error("IncompleteSignature", "What?")

    actions = Actions()
    assert post_form(make_app(actions, scope_of=fail), {"Action": "ListTopics"}).status == 200


def test_an_operation_without_an_action_is_refused() -> None:
    answer = post_json(make_app({}), "ListQueues", {})
    assert (answer.status, answer.headers["x-amzn-query-error"]) == (400, "InvalidAction;Sender")


def test_a_brokers_refusal_is_translated() -> None:
    def fail(_: Call) -> None:
        raise QueueNotFound("orders")

    app = make_app({("sqs", "PurgeQueue"): fail, ("sns", "Subscribe"): fail})
    assert post_json(app, "PurgeQueue", {"QueueUrl": "u"}).json["__type"] == (
        "com.amazonaws.sqs#QueueDoesNotExist"
    )
    answer = post_form(app, {"Action": "Subscribe", "TopicArn": "t", "Protocol": "sqs"})
    assert answer.xml["Message"] == "Invalid parameter: SQS endpoint ARN"


@pytest.mark.parametrize(
    ("error", "logged"),
    [(BrokerFileError("disk full"), "disk full"), (KeyError("secret"), "KeyError: 'secret'")],
)
def test_a_failure_is_logged_and_not_told(
    error: Exception, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Call) -> None:
        raise error

    with caplog.at_level(logging.WARNING, "taskflow.server"):
        answer = post_json(make_app({("sqs", "ListQueues"): fail}), "ListQueues", {})
    assert (answer.status, answer.headers["x-amzn-query-error"]) == (
        500,
        "InternalFailure;Receiver",
    )
    assert logged not in answer.body.decode()
    assert logged in caplog.text
    assert "r1" in caplog.text


# ---- bodies -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "kind", "code"),
    [
        ((JSON, TARGET), JSON[1], b"RequestEntityTooLargeException"),
        ((FORM,), "text/xml", b"RequestEntityTooLarge"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit(
    headers: tuple[tuple[str, str], ...], kind: str, code: bytes, declared: bool
) -> None:
    actions = Actions()
    app = make_app(actions, max_body=10)
    length = (("content-length", "11"),) if declared else ()
    scope = make_scope("POST", "/", "", (HOST, *headers, *length))
    answer = asyncio.run(ask(app, scope, *([] if declared else [b"123456", b"78901"])))
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (413, kind)
    assert answer.headers["connection"] == "close"
    assert code in answer.body
    assert not actions.calls


def test_a_body_at_the_limit_in_pieces() -> None:
    actions = Actions()
    body = b"Action=ListQueues"
    app = make_app(actions, max_body=len(body))
    scope = make_scope("POST", "/", "", (HOST, FORM))
    answer = asyncio.run(ask(app, scope, body[:3], b"", body[3:]))
    assert answer is not None
    assert answer.status == 200
    assert len(actions.calls) == 1


@pytest.mark.parametrize("length", ["18", "16", "-17", "x", "1e1", "9" * 5000, "²"])
@pytest.mark.parametrize("headers", [(FORM,), (JSON, TARGET)])
def test_a_body_that_is_not_as_long_as_it_says(
    length: str, headers: tuple[tuple[str, str], ...]
) -> None:
    actions = Actions()
    answer = post(make_app(actions), b"Action=ListQueues", *headers, ("content-length", length))
    assert answer.status == (413 if len(length) > 9 else 400)
    assert not actions.calls


def test_a_client_that_hangs_up_in_its_body_changes_nothing() -> None:
    actions = Actions()
    app = make_app(actions, pages={("POST", "/reset"): hello})
    for path in ("/", "/reset"):
        scope = make_scope("POST", path, "", (HOST, FORM))
        assert asyncio.run(ask(app, scope, b"Action=ListQueues", hang_up=True)) is None
    assert not actions.calls


# ---- clients that go away -----------------------------------------------------------------------
def test_a_parked_call_learns_that_its_client_has_gone() -> None:
    ended: list[str] = []

    async def park(call: Call) -> dict[str, Any]:
        await call.gone.wait()
        ended.append(call.request_id)
        return {}

    async def scene() -> None:
        parked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        parked.put_nowait({"type": "http.request", "body": b""})
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        app = make_app({("sqs", "ReceiveMessage"): park})
        scope = make_scope("GET", QUEUE_PATH, "Action=ReceiveMessage")
        task = asyncio.create_task(app(scope, parked.get, send))
        await asyncio.wait([task], timeout=0)
        assert not task.done()
        parked.put_nowait({"type": "http.disconnect"})
        await task
        assert sent == []

    asyncio.run(scene())
    assert ended == ["r1"]


def test_an_async_action_answers_and_nobody_listens_on() -> None:
    async def answer(call: Call) -> dict[str, Any]:
        await asyncio.wait([asyncio.create_task(call.gone.wait())], timeout=0)
        assert not call.gone.is_set()
        return {"QueueUrls": ["u"]}

    async def scene() -> int:
        app = make_app({("sqs", "ListQueues"): answer})
        found = await ask(app, make_scope("POST", "/", "", (HOST, JSON, TARGET)), b"{}")
        assert found is not None
        assert found.json == {"QueueUrls": ["u"]}
        names = [str(task.get_coro()) for task in asyncio.all_tasks()]
        return sum("_Hangup._listen" in name for name in names)

    assert asyncio.run(scene()) == 0


# ---- pages and the life of the server -----------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "query", "status", "body"),
    [
        ("GET", "/", "", 200, b"hello"),
        ("GET", "/health", "x=1", 200, b"hello"),
        ("HEAD", "/health", "", 200, b"hello"),
        ("GET", "/nothing", "", 404, b"There is nothing here.\n"),
        ("GET", "/runs/r1", "", 200, b"hello"),
        ("GET", "/runs", "", 404, b"There is nothing here.\n"),
        ("GET", "/runs/r1/more", "", 404, b"There is nothing here.\n"),
        ("POST", "/runs/r1", "", 400, None),
        ("GET", "/below/a", "", 200, b"hello"),
        ("GET", "/below/a/b/c", "", 200, b"hello"),
        ("GET", "/below", "", 404, b"There is nothing here.\n"),
        ("GET", QUEUE_PATH, "", 404, b"There is nothing here.\n"),
    ],
)
def test_pages(method: str, path: str, query: str, status: int, body: bytes | None) -> None:
    shown = {("GET", "/"): hello, ("GET", "/health"): hello, ("GET", "/runs/*"): hello}
    shown["GET", "/below/**"] = hello
    answer = get(make_app(Actions(), pages=shown), path, query, method)
    assert (answer.status, answer.body) == (status, body if body is not None else answer.body)


def test_a_page_may_be_async_and_take_a_body() -> None:
    async def echo(request: HttpRequest) -> HttpResponse:
        return hello(request)

    app = make_app(Actions(), pages={("POST", "/_taskflow/reset"): echo}, max_body=5)
    assert post(app, b"again", path="/_taskflow/reset").body == b"again"
    assert post(app, b"longer", path="/_taskflow/reset").status == 413


def test_a_call_goes_before_a_page() -> None:
    actions = Actions({"QueueUrls": ["u"]})
    app = make_app(actions, pages={("GET", "/"): hello, ("POST", "/"): hello})
    assert b"<QueueUrl>u</QueueUrl>" in get(app, "/", "Version=2012-11-05&Action=ListQueues").body
    assert post_json(app, "ListQueues", {}).json == {"QueueUrls": ["u"]}
    assert get(app, "/", "MyAction=ListQueues").body == b"hello"


def test_a_page_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: HttpRequest) -> HttpResponse:
        raise KeyError("secret")

    answer = get(make_app(Actions(), pages={("GET", "/"): fail}), "/")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


@pytest.mark.parametrize("fails", [None, "startup", "shutdown"])
def test_the_life_of_the_server(fails: str | None) -> None:
    done: list[str] = []

    def hook(name: str) -> Any:
        async def run() -> None:
            done.append(name)
            if name == fails:
                raise OSError("no port")

        return run

    async def scene() -> list[Any]:
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[Any] = []

        async def receive() -> Any:
            return next(events)

        async def send(message: Any) -> None:
            sent.append(message)

        app = make_app(Actions(), startup=hook("startup"), shutdown=hook("shutdown"))
        await app({"type": "lifespan"}, receive, send)
        return sent

    sent = [(message["type"], message.get("message")) for message in asyncio.run(scene())]
    start, stop = ("lifespan.startup.complete", None), ("lifespan.shutdown.complete", None)
    assert (
        sent
        == {
            None: [start, stop],
            "startup": [("lifespan.startup.failed", "no port")],
            "shutdown": [start, ("lifespan.shutdown.failed", "no port")],
        }[fails]
    )
    assert done == (["startup"] if fails == "startup" else ["startup", "shutdown"])


def test_a_websocket_is_closed() -> None:
    async def scene() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await make_app(Actions())({"type": "websocket"}, receive, send)
        return sent

    assert asyncio.run(scene()) == [{"type": "websocket.close", "code": 1000}]
