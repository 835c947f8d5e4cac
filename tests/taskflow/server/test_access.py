"""Who may: keys and their limits, policies, browsers that speak for other sites."""

# botocore has no types.
# mypy: allow-untyped-calls

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from taskflow.broker import QueueSettings
from taskflow.broker.settings import TopicSettings
from taskflow.clock import SystemClock
from taskflow.server.access import Access
from taskflow.server.access_key import Key
from taskflow.server.app import Page
from taskflow.server.backend import Backend
from taskflow.server.keys import Keys
from taskflow.server.page_access import PageAccess
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.server.wire_call import Call, Caller
from taskflow.wire.error_codes import WireError
from tests.taskflow.server.wire import Actions, make_app, make_scope

URL = "http://127.0.0.1:9324"
ROOT = "arn:aws:iam::000000000000:root"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load(tmp_path / "broker.db-keys.json")


@pytest.fixture
def access(backend: Backend, keys: Keys) -> Access:
    return Access(backend, keys)


def request(*headers: tuple[str, str], method: str = "POST") -> HttpRequest:
    return HttpRequest(
        method, "http", "127.0.0.1:9324", "/", "", (("host", "127.0.0.1:9324"), *headers)
    )


def call(service: str, action: str, key: Key, **params: Any) -> Call:
    caller = Caller("000000000000", f"arn:aws:iam::000000000000:user/{key.name}", key.access_key_id)
    return Call(service, action, params, "us-east-1", caller.account, caller, URL, "r1", 0.0)


async def nothing(_: Call) -> None:
    return None


@pytest.fixture
def attempt(access: Access, run: Any) -> Any:
    """Try an action through the gate; answers the error code, or None."""

    def attempt(made: Call) -> str | None:
        guarded = access.guard({(made.service, made.action): nothing})

        async def go() -> None:
            await guarded[made.service, made.action](made)  # type: ignore[misc]  # always async

        try:
            run(go())
        except WireError as error:
            return error.code
        return None

    return attempt


# ---- open -------------------------------------------------------------------------------------
def test_without_keys_everybody_may_enter(access: Access) -> None:
    assert access.open
    assert access.authenticate(request(), "sqs", "ListQueues") == Caller("000000000000", ROOT)


def test_revoking_the_last_key_does_not_open_the_door(access: Access, keys: Keys) -> None:
    keys.add("shop", 0.0)
    keys.revoke("shop")
    assert not access.open
    with pytest.raises(WireError) as refusal:
        access.authenticate(request(), "sqs", "ListQueues")
    assert refusal.value.code == "MissingAuthenticationToken"


@pytest.mark.parametrize(
    "headers",
    [
        (("origin", "https://evil.example"),),
        (("origin", "null"),),
        (("sec-fetch-site", "cross-site"),),
        (("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:9324")),
    ],
)
def test_a_browser_does_not_speak_for_another_site(access: Access, headers: Any) -> None:
    with pytest.raises(WireError, match="A browser sent this for another site"):
        access.authenticate(request(*headers), "sqs", "PurgeQueue")


def at(host: str, method: str = "POST", *more: tuple[str, str], query: str = "") -> HttpRequest:
    return HttpRequest(method, "http", "127.0.0.1:9324", "/", query, (("host", host), *more))


STRANGE = [
    "evil.example",
    "0.0.0.0:9324",
    "[::ffff:127.0.0.1]:9324",
    "10.0.0.5",
    "127.0.0.1.nip.io",
]


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("browser", [(), (("sec-fetch-site", "none"),)])
def test_what_nobody_signed_is_answered_by_our_own_names_alone(
    access: Access, keys: Keys, host: str, browser: Any
) -> None:
    """Any page may point a name here, or use 0.0.0.0; some send no header that tells."""
    with pytest.raises(WireError, match="are answered for localhost"):
        access.authenticate(at(host, "POST", *browser), "sqs", "PurgeQueue")
    refused = PageAccess(keys).allows(at(host, "GET", *browser), "read")
    assert refused is not None
    assert refused.status == 403


def test_what_is_signed_may_come_by_any_name(access: Access) -> None:
    signed = ("authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sqs/aws4_request")
    assert access.authenticate(at("taskflow:9324", "POST", signed), "sqs", "PurgeQueue")


@pytest.mark.parametrize(
    ("method", "browser"),
    [
        ("POST", (("origin", "http://evil.example:9324"),)),
        ("POST", (("referer", "http://evil.example:9324/page"),)),
        ("POST", (("sec-fetch-site", "same-origin"),)),
        ("GET", ()),
    ],
)
def test_a_page_whose_name_leads_here_signs_nothing(
    access: Access, method: str, browser: Any
) -> None:
    """To its browser it is of the same origin: it may set this header, and read the answer."""
    signed = ("authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sqs/aws4_request")
    asked = at("evil.example:9324", method, signed, *browser)
    with pytest.raises(WireError, match="are answered for localhost"):
        access.authenticate(asked, "sqs", "ReceiveMessage")


def test_a_signature_in_the_query_is_none(access: Access) -> None:
    """A link may have one."""
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x/20260101/us-east-1/sqs/aws4_request"
    )
    with pytest.raises(WireError, match="Unsigned requests"):
        access.authenticate(at("evil.example", "POST", query=query), "sqs", "PurgeQueue")


@pytest.mark.parametrize("host", ["localhost:9324", "a.localhost", "127.0.0.1:9324", "[::1]:9324"])
def test_a_browser_on_our_own_page_is_welcome(access: Access, keys: Keys, host: str) -> None:
    own = at(host, "POST", ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin"))
    assert access.authenticate(own, "sqs", "ListQueues").arn == ROOT
    assert PageAccess(keys).allows(own, "manage") is None


def test_what_url_says_is_one_of_our_names(backend: Backend) -> None:
    access = Access(backend, None, "https://queues.example.org/")
    assert access.authenticate(at("queues.example.org"), "sqs", "PurgeQueue").arn == ROOT


@pytest.mark.parametrize("action", ["CreateQueue", "PurgeQueue", "ReceiveMessage", "SendMessage"])
def test_a_get_that_nobody_signed_changes_nothing(access: Access, action: str) -> None:
    with pytest.raises(WireError, match=f"send {action} as POST"):
        access.authenticate(at("localhost", "GET"), "sqs", action)


@pytest.mark.parametrize(
    ("service", "action"),
    [("sqs", "ListQueues"), ("sqs", "GetQueueUrl"), ("sns", "ConfirmSubscription")],
)
def test_a_get_may_look_and_follow_links(access: Access, service: str, action: str) -> None:
    assert access.authenticate(at("localhost", "GET"), service, action).arn == ROOT


# ---- before the body ---------------------------------------------------------------------------
def test_a_strangers_body_is_not_even_read(backend: Backend, keys: Keys) -> None:
    keys.add("shop", 0.0)
    access = Access(backend, keys)
    with pytest.raises(WireError, match="missing"):
        access.admit(at("localhost"))
    unknown = (
        "AWS4-HMAC-SHA256 Credential=TFNOBODY/20260101/us-east-1/sqs/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )
    dated = ("x-amz-date", "20260101T000000Z")
    with pytest.raises(WireError, match="invalid"):
        access.admit(at("localhost", "POST", ("authorization", unknown), dated))


def test_a_strangers_body_is_not_read_for_a_page_either(keys: Keys) -> None:
    reads: list[str] = []

    async def receive() -> dict[str, Any]:
        reads.append("body")
        return {"type": "http.request", "body": b"x"}

    statuses: list[int] = []
    asks: list[bytes] = []

    async def send(event: Any) -> None:
        if "status" in event:
            statuses.append(event["status"])
            asks[:] = [value for name, value in event["headers"] if name == b"www-authenticate"]

    def page(_: HttpRequest) -> HttpResponse:
        return HttpResponse(200, (), b"")

    def post(host: str, *more: tuple[str, str], method: str = "POST") -> int:
        scope = make_scope(method, "/act", "", (("host", host), ("content-length", "1"), *more))
        asyncio.run(app(scope, receive, send))
        return statuses.pop()

    shown: dict[tuple[str, str], Page] = {("POST", "/act"): page, ("GET", "/act"): page}
    app = make_app({}, pages=shown, admit_to_pages=PageAccess(keys).admit)
    assert (post("evil.example"), reads) == (403, [])
    assert (post("evil.example", method="GET"), reads) == (200, []), "/health asks nobody"
    assert (post("localhost"), reads) == (200, ["body"])
    key = keys.add("shop", 0.0)
    assert (post("localhost"), reads) == (401, ["body"])
    assert asks == [b'Basic realm="taskflow", charset="UTF-8"'], "browsers ask for one"
    assert (post("localhost", basic(key.access_key_id, "wrong")), reads) == (401, ["body"])
    assert post("localhost", basic(key.access_key_id, key.secret)) == 200


# ---- keys -------------------------------------------------------------------------------------
def test_a_signature_tells_who_asks(backend: Backend, keys: Keys, monkeypatch: Any) -> None:
    key = keys.add("shop", 0.0)
    signed = AWSRequest("POST", f"{URL}/", data=b"Action=ListQueues")
    SigV4Auth(Credentials(key.access_key_id, key.secret), "sqs", "us-east-1").add_auth(signed)
    headers = tuple((name.lower(), text) for name, text in signed.headers.items())
    sent = HttpRequest(
        *("POST", "http", "127.0.0.1:9324", "/", ""),
        (("host", "127.0.0.1:9324"), *headers),
        b"Action=ListQueues",
    )
    monkeypatch.setattr(backend.broker, "clock", SystemClock())  # botocore signs the real time
    access = Access(backend, keys)
    caller = access.authenticate(sent, "sqs", "ListQueues")
    assert caller.arn == "arn:aws:iam::000000000000:user/shop"
    assert caller.access_key_id == key.access_key_id
    with pytest.raises(WireError) as refusal:
        access.authenticate(sent, "sns", "ListTopics")
    assert refusal.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("action", ["ConfirmSubscription", "Unsubscribe"])
def test_links_in_messages_need_no_signature(access: Access, keys: Keys, action: str) -> None:
    keys.add("shop", 0.0)
    assert access.authenticate(request(method="GET"), "sns", action).arn == ROOT
    with pytest.raises(WireError):
        access.authenticate(request(method="POST"), "sns", action)


ORDERS = {"QueueUrl": f"{URL}/000000000000/orders"}
PAYMENTS = {"QueueUrl": f"{URL}/000000000000/payments"}
CREATED = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:order-created"}
PAID = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:order-paid"}
AUDIT = {**CREATED, "Protocol": "sqs", "Endpoint": "arn:aws:sqs:us-east-1:000000000000:payments"}


@pytest.mark.parametrize(
    ("service", "action", "params", "allowed"),
    [
        ("sqs", "SendMessage", ORDERS, True),
        ("sqs", "SendMessage", PAYMENTS, False),
        ("sqs", "ReceiveMessage", ORDERS, False),
        ("sqs", "CreateQueue", {"QueueName": "orders"}, False),
        ("sqs", "ListQueues", {}, False),
        ("sns", "Publish", CREATED, True),
        ("sns", "Publish", PAID, False),
        ("sns", "Publish", {"TargetArn": PAID["TopicArn"]}, False),
        ("sns", "Subscribe", AUDIT, False),
        ("sts", "GetCallerIdentity", {}, True),
    ],
)
def test_a_key_is_limited_to_its_queues_topics_and_verbs(
    keys: Keys, attempt: Any, service: str, action: str, params: Any, allowed: bool
) -> None:
    key = keys.add(
        "shop", 0.0, queues=["orders*"], topics=["order.created"], verbs=["send", "publish"]
    )
    expected = None if allowed else ("AuthorizationError" if service == "sns" else "AccessDenied")
    assert attempt(call(service, action, key, **params)) == expected


@pytest.mark.parametrize("glob", ["order.*", "order-*", "order-created"])
def test_a_topic_may_be_named_as_in_the_broker_or_on_the_wire(
    keys: Keys, attempt: Any, glob: str
) -> None:
    key = keys.add("shop", 0.0, topics=[glob])
    assert attempt(call("sns", "Publish", key, **CREATED)) is None


def test_to_subscribe_a_queue_one_must_manage_it(keys: Keys, attempt: Any) -> None:
    topics = keys.add("topics", 0.0, queues=["orders"], topics=["*"])
    assert attempt(call("sns", "Subscribe", topics, **AUDIT)) == "AuthorizationError"
    both = keys.add("both", 0.0, queues=["payments"], topics=["*"])
    assert attempt(call("sns", "Subscribe", both, **AUDIT)) is None


def test_a_revoked_key_ends_at_once(keys: Keys, attempt: Any) -> None:
    key = keys.add("shop", 0.0)
    assert attempt(call("sqs", "SendMessage", key, **ORDERS)) is None
    keys.revoke("shop")
    assert attempt(call("sqs", "SendMessage", key, **ORDERS)) == "InvalidClientTokenId"


# ---- policies ---------------------------------------------------------------------------------
def statement(effect: str, action: str, name: str = "shop") -> str:
    principal = {"AWS": f"arn:aws:iam::000000000000:user/{name}"}
    one = {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [one]})


@pytest.mark.parametrize(
    ("policy", "queues", "allowed"),
    [
        (None, ["orders"], True),
        (None, ["other"], False),
        (statement("Allow", "sqs:SendMessage"), ["other"], True),
        (statement("Allow", "sqs:SendMessage", "somebody"), ["other"], False),
        (statement("Allow", "sqs:ReceiveMessage"), ["other"], False),
        (statement("Deny", "sqs:*"), ["orders"], False),
    ],
)
def test_a_queue_policy_adds_to_a_key_and_takes_from_it(
    backend: Backend, keys: Keys, attempt: Any, policy: str, queues: list[str], allowed: bool
) -> None:
    backend.broker.create_queue("orders", QueueSettings(policy=policy))
    key = keys.add("shop", 0.0, queues=queues)
    expected = None if allowed else "AccessDenied"
    assert attempt(call("sqs", "SendMessage", key, **ORDERS)) == expected


def test_a_topic_policy_counts_too(backend: Backend, keys: Keys, attempt: Any) -> None:
    policy = statement("Deny", "sns:Publish")
    backend.broker.create_topic("order.created", TopicSettings(policy=policy))
    key = keys.add("shop", 0.0)
    assert attempt(call("sns", "Publish", key, **CREATED)) == "AuthorizationError"


@pytest.mark.parametrize(
    ("policy", "queues", "allowed"),
    [
        (statement("Deny", "sqs:*"), ["*"], False),
        (statement("Deny", "sqs:SetQueueAttributes"), ["*"], False),
        (statement("Allow", "sqs:SetQueueAttributes"), ["other"], True),
        (statement("Allow", "sqs:SendMessage"), ["other"], False),
    ],
)
def test_the_policy_of_a_queue_decides_who_subscribes_it_too(
    backend: Backend, keys: Keys, attempt: Any, policy: str, queues: list[str], allowed: bool
) -> None:
    """Else who may send nothing to a queue publishes to a topic of theirs that feeds it."""
    backend.broker.create_queue("payments", QueueSettings(policy=policy))
    key = keys.add("shop", 0.0, queues=queues)
    expected = None if allowed else "AuthorizationError"
    assert attempt(call("sns", "Subscribe", key, **AUDIT)) == expected


# ---- pages ------------------------------------------------------------------------------------
def basic(id: str, secret: str) -> tuple[str, str]:
    return ("authorization", "Basic " + b64encode(f"{id}:{secret}".encode()).decode())


def test_pages_ask_for_a_key_that_may_see_everything(keys: Keys) -> None:
    key = keys.add("watch", 0.0, verbs=["read"])
    narrow = keys.add("narrow", 0.0, queues=["orders"])

    def status(verb: Any, *headers: tuple[str, str]) -> int | None:
        refused = PageAccess(keys).allows(request(*headers, method="GET"), verb)
        return None if refused is None else refused.status

    good = basic(key.access_key_id, key.secret)
    assert status("read", good) is None
    assert status("manage", good) == 403
    assert status("read", basic(narrow.access_key_id, narrow.secret)) == 403
    assert status("read") == 401
    assert status("read", basic(key.access_key_id, "wrong")) == 401
    assert status("read", basic("nobody", "")) == 401
    assert status("read", ("authorization", "Basic é")) == 401


def test_every_action_is_guarded(access: Access) -> None:
    actions = Actions()
    guarded = access.guard(actions)
    assert guarded.keys() == actions.keys()
    assert all(guarded[name] is not actions[name] for name in actions)
