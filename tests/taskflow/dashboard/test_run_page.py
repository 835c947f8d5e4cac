"""`GET /runs/ID`: what it answers, and to whom."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import pytest

from taskflow import Broker, Registry, open_broker, task
from taskflow.dashboard.pages import pages
from taskflow.publisher import using
from taskflow.server.access_key import Key
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.keys import Keys
from taskflow.server.page_access import PageAccess
from taskflow.server.waiting import Waiting
from taskflow.testing import FaultBroker, drain, wire_server
from tests.taskflow.server.wire import HOST, Answer, ask, make_app, make_scope


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.load(tmp_path / "broker.db-keys.json")


@pytest.fixture
def served(taskflow_broker: Broker, keys: Keys) -> Iterator[App]:
    with ThreadPoolExecutor(2) as threads:
        yield serve(taskflow_broker, keys, threads)


def serve(broker: Broker, keys: Keys, threads: ThreadPoolExecutor) -> App:
    backend = Backend(broker, Waiting(broker), threads, "000000000000", "us-east-1")
    found = pages(backend, PageAccess(keys).allows, allow_reset=False)
    return make_app({}, clock=broker.clock, pages=found)


@pytest.fixture
def done(taskflow_broker: Broker, taskflow_registry: Registry) -> str:
    """A run of queue `sums` that has ended."""

    @task(registry=taskflow_registry, queue="sums", result="1h", name="add")
    def add(x: int, y: int) -> int:
        return x + y

    drain(taskflow_broker, taskflow_registry)
    result = add.delay(1, 2)
    drain(taskflow_broker, taskflow_registry)
    return result.id


def look(app: App, id: str, key: Key | None = None, secret: str | None = None) -> Answer:
    headers = [HOST]
    if key is not None:
        coded = b64encode(f"{key.access_key_id}:{secret or key.secret}".encode()).decode()
        headers.append(("authorization", f"Basic {coded}"))
    return look_with(app, id, *headers)


def look_with(app: App, id: str, *headers: tuple[str, str]) -> Answer:
    answer = asyncio.run(ask(app, make_scope("GET", f"/runs/{id}", "", tuple(headers))))
    assert answer is not None
    return answer


def test_it_is_the_run_as_json(served: App, done: str) -> None:
    answer = look(served, done)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    expected = {"id": done, "task": "add", "queue": "sums", "state": "done", "attempts": 1}
    assert {**expected, "args": [1, 2], "result": 3, "error": None}.items() <= answer.json.items()


def test_a_failure_has_type_message_and_traceback(
    served: App, taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    @task(registry=taskflow_registry, result="1h", retries=0, name="fail")
    def fail() -> None:
        raise ValueError("no such order")

    drain(taskflow_broker, taskflow_registry)
    result = fail.options(id="a/b c").delay()
    drain(taskflow_broker, taskflow_registry, raise_errors=False)
    found = look(served, "a%2Fb%20c").json
    assert (found["id"], found["state"], found["result"]) == (result.id, "failed", None)
    assert (found["error"]["type"], found["error"]["message"]) == ("ValueError", "no such order")
    assert "in fail" in found["error"]["traceback"]


@pytest.mark.parametrize("id", ["nosuch", "", "%00", "%ff", "x" * 5000])
def test_what_is_not_there_is_a_404(served: App, done: str, id: str) -> None:
    answer = look(served, id)
    assert answer.status == 404
    assert list(answer.json) == ["error"]


def test_a_key_sees_the_runs_of_its_queues(served: App, done: str, keys: Keys) -> None:
    everything = keys.add("all", 0.0)
    own = keys.add("own", 0.0, queues=["su*"], verbs=["receive"])
    other = keys.add("other", 0.0, queues=["mails"], verbs=["receive"])
    sender = keys.add("sender", 0.0, queues=["sums"], verbs=["send", "read"])
    topics = keys.add("topics", 0.0, queues=[], topics=["*"])
    status = {one.name: look(served, done, one).status for one in (everything, own, other, sender)}
    assert status == {"all": 200, "own": 200, "other": 404, "sender": 403}
    assert look(served, done, topics).status == 403
    assert look(served, done, other).body == look(served, "nosuch", own).body, "it learns nothing"
    assert look(served, done).status == look(served, done, own, "wrong").status == 401
    assert look(served, "nosuch").status == 401


def test_other_names_of_the_host_are_refused(served: App, done: str) -> None:
    assert look_with(served, done, ("host", "evil.example")).status == 403


def test_a_broker_that_cannot_be_used_is_a_503(taskflow_broker: Broker, keys: Keys) -> None:
    broker = FaultBroker(taskflow_broker)
    with ThreadPoolExecutor(2) as threads:
        app = serve(broker, keys, threads)
        broker.fail("records")
        assert look(app, "x").status == 503


def test_another_language_calls_over_http_and_reads_a_result(taskflow_registry: Registry) -> None:
    @task(registry=taskflow_registry, name="add", result="1h")
    def add(x: int, y: int) -> int:
        return x + y

    with closing(open_broker("memory://")) as broker, using(broker), wire_server(broker) as server:
        drain(broker, taskflow_registry)
        id = add.delay(2, 3).id
        call = {
            "Action": "SendMessage",
            "QueueUrl": f"{server.url}/000000000000/default",
            "MessageBody": '{"task": "add", "args": [1, 1]}',
        }
        with urlopen(server.url, urlencode(call).encode()) as answer:
            assert answer.status == 200
        assert len(drain(broker, taskflow_registry)) == 2
        with urlopen(f"{server.url}/runs/{id}") as answer:
            assert msgspec.json.decode(answer.read())["result"] == 5
