"""An app in one line, requests to it without a socket, and botocore's own view of the wire."""

# botocore has no types.
# mypy: allow-untyped-calls

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

import botocore.session
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from proto.aws.generate import SQS_LISTS, SQS_MAPS
from taskflow.server.app import App
from taskflow.server.fast_way import FastWay
from taskflow.server.protocol import HttpResponse
from taskflow.server.wire_call import Call, Caller, Result
from taskflow.testing import ManualClock
from taskflow.wire.shapes import load_services

CALLER = Caller("000000000000", "arn:aws:iam::000000000000:root", "TF1")
FORM = ("content-type", "application/x-www-form-urlencoded; charset=utf-8")
JSON = ("content-type", "application/x-amz-json-1.0")
HOST = ("host", "localhost:9324")
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


T = TypeVar("T")
Asgi = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]
Run = Callable[[Coroutine[Any, Any, T]], T]
Told = bytes | HttpResponse | None


class Actions(dict[tuple[str, str], Callable[[Call], Result]]):
    """Every operation; each notes its call and answers `result`."""

    def __init__(self, result: Result = None) -> None:
        self.calls: list[Call] = []
        self.result = result
        for service, facts in load_services().items():
            for action in facts.operations:
                self[service, action] = self.answer

    def answer(self, call: Call) -> Result:
        self.calls.append(call)
        return self.result


def make_app(actions: Any, **options: Any) -> App:
    """An app that lets everybody in, at 1000 seconds, whose requests are numbered r1, r2."""
    options.setdefault("authorize", lambda *_: CALLER)
    options.setdefault("clock", ManualClock(1000.0))
    options.setdefault("region", "us-east-1")
    if "new_request_id" not in options:
        numbers = iter(range(1, 1_000_000))
        options["new_request_id"] = lambda: f"r{next(numbers)}"
    return App(actions, **options)


@dataclass(frozen=True)
class Answer:
    """What came back: header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def xml(self) -> dict[str, str]:
        """The text of every element by its name, without the namespace."""
        elements = ElementTree.fromstring(self.body).iter()
        return {one.tag.partition("}")[2]: one.text or "" for one in elements}


def make_scope(
    method: str, path: str, query: str = "", headers: tuple[tuple[str, str], ...] = (HOST,)
) -> dict[str, Any]:
    """The ASGI scope of a request. A Host among the headers stands for the usual one."""
    if headers[:1] == (HOST,) and any(name == "host" for name, _ in headers[1:]):
        headers = headers[1:]
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in headers],
        "server": ("127.0.0.1", 9324),
    }


async def ask(
    app: Asgi, scope: dict[str, Any], *chunks: bytes, hang_up: bool = False
) -> Answer | None:
    """Send a request, its body in chunks; with `hang_up` the client goes away after them.

    None when the app said nothing.
    """
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for i, chunk in enumerate(chunks or (b"",), 1):
        more = i < len(chunks) or hang_up
        queue.put_nowait({"type": "http.request", "body": chunk, "more_body": more})
    if hang_up:
        queue.put_nowait({"type": "http.disconnect"})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, queue.get, send)
    if not sent:
        return None
    headers = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert headers["content-length"] == str(len(body))
    return Answer(sent[0]["status"], headers, body)


class FastFirst:
    """An app behind the fast way, which is asked first, as a connection does."""

    def __init__(self, app: App, fast: FastWay) -> None:
        self._app = app
        self._fast = fast

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        plan = None
        if (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/", b""):
            plan = self._fast.accept(scope["headers"])
        if plan is None:
            await self._app(scope, receive, send)
            return
        came = [await receive()]
        while came[-1].get("more_body"):
            came.append(await receive())
        answered: asyncio.Future[Told] = asyncio.get_running_loop().create_future()

        def tell(answer: Told) -> bool:
            answered.set_result(answer)
            return True

        body = b"".join(one.get("body", b"") for one in came)
        if not self._fast.begin(plan, body, tell):
            tell(None)
        answer = await answered
        if answer is None:
            came.reverse()

            async def again() -> Any:
                return came.pop() if came else await receive()

            await self._app(scope, again, send)
            return
        status, headers = 200, [(b"x-amzn-requestid", self._fast.request_id())]
        headers.append((b"content-type", JSON[1].encode()))
        if isinstance(answer, HttpResponse):
            status, headers = answer.status, [(n.encode(), t.encode()) for n, t in answer.headers]
            answer = answer.body
        headers.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class OnServer:
    """An app that runs on the server's loop, from wherever it is called: `post` by `run`, and who
    has a loop of its own as an app."""

    def __init__(self, inner: Any, run: Run[Any]) -> None:
        self.inner = inner
        self.run = run

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(self.run, self.inner(scope, receive, send))


def _ask(app: Any, scope: dict[str, Any], *chunks: bytes) -> Answer:
    """Ask on the loop that the app has, or on a new one."""
    inner, run = (app.inner, app.run) if isinstance(app, OnServer) else (app, asyncio.run)
    answer: Answer | None = run(ask(inner, scope, *chunks))
    assert answer is not None
    return answer


def post(
    app: App,
    body: bytes,
    *headers: tuple[str, str],
    path: str = "/",
    query: str = "",
    method: str = "POST",
) -> Answer:
    """A POST in one piece, with its length unless the headers have one."""
    if "content-length" not in dict(headers):
        headers = (*headers, ("content-length", str(len(body))))
    return _ask(app, make_scope(method, path, query, (HOST, *headers)), body)


def post_form(app: App, fields: Mapping[str, Any] | str, path: str = "/") -> Answer:
    """A call in the query protocol."""
    text = fields if isinstance(fields, str) else urlencode(fields)
    return post(app, text.encode(), FORM, path=path)


def post_json(app: App, action: str, params: Any, path: str = "/") -> Answer:
    """A call in JSON; bytes are sent as they are."""
    body = params if isinstance(params, bytes) else json.dumps(params).encode()
    return post(app, body, JSON, ("x-amz-target", f"AmazonSQS.{action}"), path=path)


def get(app: App, path: str, query: str = "", method: str = "GET") -> Answer:
    """A GET."""
    return _ask(app, make_scope(method, path, query))


# ---- botocore's view ----------------------------------------------------------------------------
@cache  # the files are large, and a model only reads
def model_of(service: str, protocol: str) -> ServiceModel:
    """A service's model. The query protocol of SQS gets back the names its model has lost."""
    if (service, protocol) != ("sqs", "query"):
        model: ServiceModel = botocore.session.get_session().get_service_model(service)
        return model
    raw = deepcopy(Loader().load_service_model("sqs", "service-2"))
    raw["metadata"] |= {"protocol": "query", "protocols": ["query"]}
    del raw["metadata"]["awsQueryCompatible"]
    for name, item in SQS_LISTS.items():
        raw["shapes"][name]["member"]["locationName"] = item
    for name, (wire, key, value) in SQS_MAPS.items():
        raw["shapes"][name]["locationName"] = wire
        raw["shapes"][name]["key"]["locationName"] = key
        raw["shapes"][name]["value"]["locationName"] = value
    for name, operation in raw["operations"].items():
        if "output" in operation:
            operation["output"]["resultWrapper"] = f"{name}Result"
    return ServiceModel(raw, "sqs")


@dataclass(frozen=True)
class Peer:
    """A client of one operation in one protocol, made of botocore's serializer and parser."""

    operation: OperationModel
    protocol: str

    def serialize(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The request as botocore writes it; the body of a form is still a mapping."""
        serializer = create_serializer(self.protocol, False)
        return dict(serializer.serialize_to_request(params, self.operation))

    def call(self, app: App, params: Mapping[str, Any]) -> Answer:
        """Call the operation."""
        request = self.serialize(params)
        body = request["body"]
        if isinstance(body, Mapping):
            body = urlencode(body, doseq=True, safe="-._~").encode()
        headers = [(name.lower(), text) for name, text in request["headers"].items()]
        return post(app, body, *headers, path=request["url_path"])

    def parse(self, answer: Answer) -> dict[str, Any]:
        """What botocore makes of the answer, without its ResponseMetadata when all went well."""
        parts = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        parsed = create_parser(self.protocol).parse(parts, self.operation.output_shape)
        if answer.status == 200:
            metadata = parsed.pop("ResponseMetadata")
            assert metadata["RequestId"] == answer.headers["x-amzn-requestid"]
        return dict(parsed)


def all_peers() -> list[Peer]:
    """Every operation in every protocol that has it."""
    found = []
    for service, protocol in (
        ("sqs", "json"),
        ("sqs", "query"),
        ("sns", "query"),
        ("sts", "query"),
    ):
        model = model_of(service, protocol)
        for name in load_services()[service].operations:
            found.append(Peer(model.operation_model(name), protocol))
    return found


def fit(shape: Any, text: SearchStrategy[str], least: int) -> SearchStrategy[Any]:
    """Values of a botocore shape; `least` is how small a map may be."""
    match shape.type_name:
        case "structure":
            members = {name: fit(item, text, least) for name, item in shape.members.items()}
            needed = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(needed, optional=members)
        case "list":
            return st.lists(fit(shape.member, text, least), max_size=3)
        case "map":
            return st.dictionaries(text, fit(shape.value, text, least), min_size=least, max_size=3)
        case "integer":
            return st.integers(-(2**31), 2**31 - 1)
        case "long":
            return st.integers(-(2**63), 2**63 - 1)
        case "boolean":
            return st.booleans()
        case "blob":
            return st.binary(max_size=12)
        case "string":
            return text
    raise NotImplementedError(shape.type_name)
