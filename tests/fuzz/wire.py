"""Requests in both dialects and on the pages, nearly right, against the whole app in-process."""

# botocore has no types.
# mypy: allow-untyped-calls

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from taskflow import open_broker
from taskflow.broker import Broker
from taskflow.dashboard.pages import pages
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.server.access import Access
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.keys import Key, Keys
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting
from taskflow.wire.envelope import wire_topic
from tests.fuzz.values import Values, to_json
from tests.fuzz.verdict import Verdict
from tests.taskflow.server.wire import FORM, Answer, Peer, all_peers, ask, make_scope

ACCOUNT, REGION, HOST = "000000000000", "us-east-1", "localhost:9324"
SECRET = "the-body-that-nobody-may-see"
TIMEOUT = 60.0  # real seconds for one request; none waits on purpose
NAMES = ("q0", "q1", "q2", "q3", "f0.fifo", "f1.fifo", "lim-a", "lim-b.fifo", "secret", "q-dlq")
ATTRIBUTES = (
    *("VisibilityTimeout", "DelaySeconds", "MessageRetentionPeriod", "MaximumMessageSize"),
    *("Policy", "RedrivePolicy", "RedriveAllowPolicy", "FifoQueue", "ContentBasedDeduplication"),
    *("KmsMasterKeyId", "DisplayName", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery"),
    *("DeliveryPolicy", "SubscriptionRoleArn", "DeduplicationScope", "FifoThroughputLimit", "All"),
    *("ArchivePolicy", "TracingConfig", "SignatureVersion", "FifoTopic", "HTTPSuccessFeedback"),
)
PAGES = (
    *("/", "/queue", "/dead-letters", "/redrive", "/send", "/stats", "/metrics", "/health"),
    *("/_taskflow/reset", "/favicon.ico", "/queue/", "/Queue", "/%2e%2e", "//"),
)
FIELDS = ("name", "queue", "topic", "kind", "body", "attributes", "notice", "page", "limit", "ids")


class WireFuzz:
    """One server over one broker. With `limited`, every request is signed with a key for `lim-*`
    alone, and nothing else may change."""

    def __init__(self, values: Values, verdict: Verdict, folder: Path, *, limited: bool) -> None:
        self._values = values
        self._verdict = verdict
        self._limited = limited
        self._target = "limited" if limited else "wire"
        self._peers = all_peers()
        self._words = sorted(
            {name for peer in self._peers for name in _names(peer.operation.input_shape, 3)}
        )
        self._keys = Keys.load(folder / "keys.json")
        self._key: Key | None = None
        if limited:
            self._key = self._keys.add("limited", 0.0, queues=["lim-*"], topics=["lim-*"])

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Have the server for this while; at its end it must still work."""
        self._broker = open_broker("memory://")
        with ThreadPoolExecutor(4) as threads:
            waiting = Waiting(self._broker)
            waiting.start()
            backend = Backend(self._broker, waiting, threads, ACCOUNT, REGION)
            access = Access(backend, self._keys if self._limited else None)
            actions = {
                **sqs_actions(backend, MoveActions(backend)),
                **Sns(backend).actions(),
                **Sts().actions(),
            }
            self._app = App(
                access.guard(actions),
                access.authenticate,
                clock=self._broker.clock,
                new_request_id=lambda: "r",
                region=REGION,
                scope_of=access.scope_of,
                pages=pages(backend, access.allows_page, allow_reset=not self._limited),
                admit=access.admit,
                threads=threads,
            )
            for name in NAMES:
                self._values.note("url", f"http://{HOST}/{ACCOUNT}/{name}")
                self._values.note("queue", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
                self._values.note("topic", f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
            if self._limited:
                self._hide_secrets()
            before = self._secrets()
            yield
            if self._limited and self._secrets() != before:
                self._verdict.wrong("a limited key changed", (before, self._secrets()))
            self._look_at_the_end()
            waiting.close()
        self._broker.close()

    async def send(self, most: int) -> None:
        """So many requests at once, and see what they answer."""
        await asyncio.gather(*(self._send_one() for _ in range(most)))

    async def _send_one(self) -> None:
        self._verdict.requests += 1
        peer = None
        if self._values.chance(0.06):
            request = self._page()
        else:
            peer = self._values.dice.choice(self._peers)
            request = self._call(peer)
        method, path, query, headers, body = request
        if self._key is not None and self._values.chance(0.9):
            headers = _sign(self._key, peer, method, path, query, headers, body)
        scope = make_scope(method, path, query, tuple(headers))
        try:
            answer = await asyncio.wait_for(ask(self._app, scope, body), TIMEOUT)
        except TimeoutError:
            self._verdict.wrong("no answer in time", request)
        except Exception as error:
            self._verdict.wrong(f"the app raised {error!r}", request)
        else:
            assert answer is not None
            self._look_at(answer, request)

    def _look_at(self, answer: Answer, request: Any) -> None:
        self._verdict.answered(self._target, answer.status)
        if answer.status >= 500:
            self._verdict.wrong(f"answered {answer.status} {answer.body[:200]!r}", request)
        if SECRET.encode() in answer.body:
            self._verdict.wrong(f"told a secret: {answer.body[:200]!r}", request)
        kind = answer.headers.get("content-type", "")
        try:
            if "json" in kind:
                self._learn(json.loads(answer.body))
            elif "xml" in kind:
                ElementTree.fromstring(answer.body)
        except (ValueError, ElementTree.ParseError) as error:
            self._verdict.wrong(f"no {kind}: {error}", request)

    def _learn(self, answer: Any) -> None:
        for message in answer.get("Messages", ()) if isinstance(answer, dict) else ():
            self._values.note("handle", message["ReceiptHandle"])

    def _hide_secrets(self) -> None:
        """What is not the limited key's: everything that a name of the requests may mean."""
        broker: Broker = self._broker
        for name in ("q-dlq", "secret", "q0", "f0.fifo"):
            broker.create_queue(name)
            group = "g" if is_fifo(name) else None
            broker.send(name, [Message("1", SECRET, group=group, deduplication_id=group)])
            broker.tag_queue(name, {"owner": SECRET})
        for name in ("secret", "q0"):
            broker.create_topic(name)
            broker.subscribe(name, name)
            broker.tag_topic(name, {"owner": SECRET})

    def _secrets(self) -> Any:
        """All of it, as it is now."""
        broker: Broker = self._broker
        queues = [name for name in broker.queues() if not name.startswith("lim-")]
        topics = [
            name for name in broker.topics() if not wire_topic(name, REGION)[1].startswith("lim-")
        ]
        return (
            [(name, broker.settings(name), broker.peek(name)) for name in queues],
            [broker.describe_queue(name).tags for name in queues],
            [
                (name, broker.topic_settings(name), broker.describe_topic(name).tags)
                for name in topics
            ],
            [one for one in broker.subscriptions() if one.topic in topics or one.queue in queues],
        )

    def _look_at_the_end(self) -> None:
        """The broker still does its work; a limited key has made what is its own, at most."""
        broker: Broker = self._broker
        if self._limited:
            topics = {wire_topic(topic, REGION)[1] for topic in broker.topics()}
            known = {*broker.queues(), *topics}
            ours = {"q-dlq", "secret", "q0", "f0.fifo"}
            strange = [name for name in known - ours if not name.startswith("lim-")]
            if strange:
                self._verdict.wrong("a limited key made", strange)
        for queue in broker.queues():
            counts = broker.counts(queue)
            if broker.purge(queue) < min(counts.visible, 1):
                self._verdict.wrong("cannot be purged", queue)

    # ---- calls ------------------------------------------------------------------------------
    def _call(self, peer: Peer) -> Any:
        params = self._structure(peer.operation.input_shape, 3)
        try:
            request = peer.serialize(params)
            body, path = request["body"], request["url_path"]
            headers = [(name.lower(), text) for name, text in request["headers"].items()]
        except Exception:  # botocore cannot write everything
            body, path, headers = {"Action": peer.operation.name}, "/", [FORM]
        values = self._values
        if isinstance(body, dict):
            fields = {str(name): text for name, text in body.items()}
            if values.chance(0.25):
                fields = {
                    self._spoil_name(name) if values.chance(0.2) else name: text
                    for name, text in fields.items()
                }
            body = urlencode(fields, errors="replace").encode()
        elif values.chance(0.25):
            body = to_json(values.spoil(json.loads(body), self._words))
        if isinstance(body, str):
            body = body.encode("utf-8", "replace")
        if values.chance(0.05):
            body = values.spoil_bytes(body)
        method = "POST" if values.chance(0.97) else values.dice.choice(("GET", "PUT", "HEAD", "x"))
        query = "" if values.chance(0.97) else values.dice.choice(("Action=%", "a", "Version=1&&="))
        if values.chance(0.1):
            path = f"/{ACCOUNT}/{values.dice.choice(NAMES)}"
        return method, path, query, self._spoil_headers(headers, body), body

    def _spoil_headers(self, headers: list[Any], body: bytes) -> list[Any]:
        values = self._values
        host = HOST if values.chance(0.98) else values.dice.choice(("evil.example", "a b", ""))
        made = [("host", host), *headers, ("content-length", str(len(body)))]
        if values.chance(0.05):
            text = values.text()[:200].encode("ascii", "replace").decode()
            made.append((values.dice.choice(("authorization", "x-amzn-trace-id", "accept")), text))
        return made

    def _spoil_name(self, name: str) -> str:
        parts = name.split(".")
        at = self._values.dice.randrange(len(parts))
        parts[at : at + self._values.dice.randrange(2)] = self._values.dice.sample(
            [*self._words, "1", "0", "-1", "entry", "member", "99999"],
            self._values.dice.randrange(3),
        )
        return ".".join(parts)

    # ---- pages ------------------------------------------------------------------------------
    def _page(self) -> Any:
        values = self._values
        fields = [
            (
                values.dice.choice(FIELDS),
                values.of("queue") if values.chance(0.3) else self._text(""),
            )
            for _ in range(values.dice.randrange(4))
        ]
        text = urlencode(fields, errors="replace")
        path = values.dice.choice(PAGES)
        if path == "/_taskflow/reset" and not self._limited and values.chance(0.9):
            path = "/send"
        headers = [("host", HOST), FORM]
        if values.chance(0.7):
            headers.append(("origin", f"http://{HOST}"))
        if values.chance(0.5):
            return "GET", path, text, headers, b""
        body = text.encode()
        return "POST", path, "", [*headers, ("content-length", str(len(body)))], body

    # ---- parameters -------------------------------------------------------------------------
    def _structure(self, shape: Any, depth: int) -> dict[str, Any]:
        if shape is None:
            return {}
        needed = set(shape.required_members)
        return {
            name: self._value(member, name, depth)
            for name, member in shape.members.items()
            if self._values.chance(0.99 if name in needed else 0.15)
        }

    def _value(self, shape: Any, name: str, depth: int) -> Any:
        values = self._values
        match shape.type_name:
            case "structure":
                return self._structure(shape, depth - 1) if depth else {}
            case "list":
                count = 11 if values.chance(0.02) else values.dice.randrange(4)
                return [self._value(shape.member, name, depth - 1) for _ in range(count)]
            case "map":
                count = max(0, values.dice.randrange(7) - 3)
                return {
                    self._text(f"{name} key"): self._value(shape.value, name, depth - 1)
                    for _ in range(count)
                }
            case "integer" | "long":
                if name == "WaitTimeSeconds":  # nobody waits here
                    return values.dice.choice((0, 0, 21, -1))
                return int(values.number()) if values.chance(0.3) else values.dice.randrange(11)
            case "boolean":
                return values.chance(0.5)
            case "blob":
                return values.dice.randbytes(values.dice.randrange(20))
        return self._text(name)

    def _text(self, name: str) -> str:
        """A text for a parameter: mostly one that could be right."""
        values = self._values
        if values.chance(0.04):
            return values.text()
        match name:
            case "QueueUrl":
                return values.of("url")
            case "QueueName" | "Name":
                return values.dice.choice(NAMES)
            case "TopicArn" | "TargetArn" | "ResourceArn":
                return values.of("topic")
            case "SourceArn" | "DestinationArn" | "Endpoint":
                return values.of("queue")
            case "Protocol":
                return values.dice.choice(("sqs", "sqs", "http", "https", "email", "lambda"))
            case "ReceiptHandle":
                return values.of("handle")
            case "Id":
                return str(values.dice.randrange(10**6))
            case "Attributes key" | "AttributeName" | "AttributeNames":
                return values.dice.choice(ATTRIBUTES)
            case "Attributes" | "AttributeValue":
                return self._attribute()
            case "DataType":
                return values.dice.choice(
                    ("String", "Number", "Binary", "String.Array", "Number.x")
                )
            case "MessageStructure":
                return "json"
        return values.text() if values.chance(0.15) else values.dice.choice(("a", "b", "1", "x.y"))

    def _attribute(self) -> str:
        values = self._values
        documents: tuple[Any, ...] = (
            {"deadLetterTargetArn": values.of("queue"), "maxReceiveCount": values.number()},
            {"redrivePermission": "byQueue", "sourceQueueArns": [values.of("queue")]},
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": values.dice.choice(("Allow", "Deny", "x")),
                        "Principal": values.dice.choice(("*", {"AWS": "*"}, {"Service": "x"}, 1)),
                        "Action": values.dice.choice(("sqs:*", "SNS:Publish", ["sqs:SendMessage"])),
                        "Resource": values.of("queue"),
                        "Condition": {"ArnLike": {"aws:SourceArn": values.of("topic")}},
                    }
                ],
            },
            {values.text()[:40]: [values.json(), {"prefix": "a"}, {"numeric": [">", 1]}]},
            {"a": [{"anything-but": {"wildcard": "*a*b*"}}, {"cidr": "10.0.0.0/8"}], "$or": []},
        )
        if values.chance(0.5):
            return values.dice.choice(("0", "30", "60", "true", "false", "86400", "1", "queue"))
        document = values.dice.choice(documents)
        if values.chance(0.4):
            document = values.spoil(document, self._words)
        return json.dumps(document)


def _names(shape: Any, depth: int) -> set[str]:
    """Every name in a shape."""
    match getattr(shape, "type_name", ""):
        case "structure" if depth:
            inner = (_names(member, depth - 1) for member in shape.members.values())
            return set(shape.members).union(*inner)
        case "list":
            return _names(shape.member, depth)
        case "map":
            return _names(shape.value, depth) | {"key", "value"}
    return set()


def _sign(
    key: Key,
    peer: Peer | None,
    method: str,
    path: str,
    query: str,
    headers: list[Any],
    body: bytes,
) -> list[Any]:
    service = peer.operation.service_model.service_name if peer else "sqs"
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    plain = {name: text for name, text in headers if name not in ("host", "content-length")}
    request = AWSRequest(method, url, headers={**plain, "Host": HOST}, data=body)
    SigV4Auth(Credentials(key.access_key_id, key.secret), service, REGION).add_auth(request)
    signed = [(name.lower(), text) for name, text in request.headers.items()]
    return [*signed, ("content-length", str(len(body)))]
