"""Makes requests that are nearly right, in both dialects and for the pages."""

# botocore has no types.
# mypy: allow-untyped-calls

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tests.fuzz.values import Values, to_json
from tests.taskflow.server.wire import FORM, Peer

ACCOUNT, HOST = "000000000000", "localhost:9324"
NAMES = ("q0", "q1", "q2", "q3", "f0.fifo", "f1.fifo", "lim-a", "lim-b.fifo", "secret", "q-dlq")
ATTRIBUTES = (
    *("VisibilityTimeout", "DelaySeconds", "MessageRetentionPeriod", "MaximumMessageSize"),
    *("Policy", "RedrivePolicy", "RedriveAllowPolicy", "FifoQueue", "ContentBasedDeduplication"),
    *("KmsMasterKeyId", "DisplayName", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery"),
    *("DeliveryPolicy", "SubscriptionRoleArn", "DeduplicationScope", "FifoThroughputLimit", "All"),
    *("ArchivePolicy", "TracingConfig", "SignatureVersion", "FifoTopic", "HTTPSuccessFeedback"),
)
PAGES = (
    *("/", "/queues", "/queues/orders", "/dead", "/messages/m1", "/messages/m1/resend"),
    *("/workflows", "/workflows/r1", "/schedules", "/workers", "/search", "/record", "/send"),
    *("/act", "/stats", "/metrics", "/health", "/nope", "/_taskflow/reset"),
)
FIELDS = (
    "q",
    "sort",
    "after",
    "open",
    "as",
    "span",
    "queue",
    "to",
    "body",
    "attributes",
    "do",
    "id",
    "token",
    "sure",
    "done",
    "in",
)


class Requests:
    """(method, path, query, headers, body) again and again. `resets`: sometimes one that empties
    everything."""

    def __init__(self, values: Values, peers: Sequence[Peer], *, resets: bool) -> None:
        self._values = values
        self._resets = resets
        self._words = sorted(
            {name for peer in peers for name in _names(peer.operation.input_shape, 3)}
        )

    # ---- calls ------------------------------------------------------------------------------
    def call(self, peer: Peer) -> Any:
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
    def page(self) -> Any:
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
        if path == "/_taskflow/reset" and self._resets and values.chance(0.9):
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
