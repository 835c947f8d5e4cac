"""What the server has beside its actions: who may see which page, counts, health, the reset."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import TopicSubscription
from taskflow.dashboard import monitor
from taskflow.dashboard.pages import pages
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Message
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.keys import Keys
from taskflow.server.page_access import AllowsPage, PageAccess
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.server.waiting import Waiting
from tests.taskflow.server.wire import FORM, HOST, Answer, ask, get, make_app, make_scope, post

ADDRESSES = [
    ("GET", "/", "read"),
    ("GET", "/queues", "read"),
    ("GET", "/queues/**", "read"),
    ("GET", "/dead", "read"),
    ("GET", "/messages/**", "read"),
    ("GET", "/workflows", "read"),
    ("GET", "/workflows/**", "read"),
    ("GET", "/schedules", "read"),
    ("GET", "/workers", "read"),
    ("GET", "/search", "read"),
    ("GET", "/record", "read"),
    ("GET", "/send", "read"),
    ("POST", "/send", "read"),
    ("POST", "/act", "read"),
    ("GET", "/taskflow.css", "read"),
    ("GET", "/live.js", "read"),
    ("GET", "/stats", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/runs/*", "receive"),
    ("POST", "/_taskflow/reset", "manage"),
]


@dataclass(frozen=True)
class Site:
    """An app with the pages over a broker in memory."""

    broker: Broker
    app: App

    def get(self, path: str, **query: Any) -> Answer:
        return get(self.app, path, urlencode(query))

    def post(
        self,
        path: str,
        fields: Mapping[str, str | Sequence[str]] | bytes = b"",
        *headers: tuple[str, str],
    ) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
        return post(self.app, body, *(headers or (FORM,)), path=path)


def allow_all(_: HttpRequest, __: str, ___: str | None = None, /) -> None:
    """Everybody may do everything."""


@pytest.fixture
def backend(taskflow_broker: Broker) -> Iterator[Backend]:
    with ThreadPoolExecutor(2) as threads:
        waiting = Waiting(taskflow_broker)
        yield Backend(taskflow_broker, waiting, threads, "000000000000", "us-east-1")


def build(backend: Backend, allows: AllowsPage = allow_all, allow_reset: bool = True) -> Site:
    found = pages(backend, allows, allow_reset=allow_reset)
    return Site(backend.broker, make_app({}, clock=backend.broker.clock, pages=found))


@pytest.fixture
def site(backend: Backend) -> Site:
    """Queue `work` with its DLQ, and topic `made` that feeds it."""
    broker = backend.broker
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
    broker.create_topic("made")
    broker.subscribe("made", "work")
    return build(backend)


def bury(broker: Broker, count: int, failure: str = '{"reason": "it is broken"}') -> None:
    """Put so many dead letters of `work` into its DLQ: d0, d1, ..."""
    broker.send("work", [Message(f"d{i}", f"body {i}") for i in range(count)])
    found = broker.receive("work", limit=count)
    assert broker.dead_letter([(one, failure) for one in found]) == [True] * count


class TestWhoMayWhat:
    @pytest.mark.parametrize(
        "verbs", [("read",), ("read", "receive"), ("read", "receive", "manage")]
    )
    def test_roles_are_what_the_key_may(self, backend: Backend, verbs: tuple[str, ...]) -> None:
        no = HttpResponse(403, (), b"")
        site = build(backend, lambda _, verb, __=None: None if verb in verbs else no)
        site.broker.create_queue("work")
        site.broker.send("work", [Message("m1", '{"colour": "vermilion"}')])
        text = site.get("/queues/work").body.decode()
        assert ("vermilion" in text) == ("receive" in verbs)
        assert ("Purge 1" in text) == ("manage" in verbs)
        assert site.get("/queues/region/no-such").status == 404

    def test_where_nobody_needs_a_key_nobody_has_the_name_of_another(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        keys = Keys.load(tmp_path / "broker.db-keys.json")
        site = build(backend, PageAccess(keys).allows)

        def named(id: str, secret: str) -> str:
            coded = b64encode(f"{id}:{secret}".encode()).decode()
            headers = (HOST, ("authorization", f"Basic {coded}"))
            page = asyncio.run(ask(site.app, make_scope("GET", "/", "", headers)))
            assert page is not None
            assert page.status == 200
            return page.body.decode()

        assert "alice" not in named("alice", "")
        key = keys.add("shop", 0.0)
        assert key.access_key_id in named(key.access_key_id, key.secret)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/health` waits until the broker has answered."""
    monkeypatch.setattr(monitor, "PATIENCE", 15)


class TestMonitors:
    @pytest.mark.usefixtures("patient")
    def test_health(self, site: Site) -> None:
        answer = site.get("/health")
        assert (answer.status, answer.json) == (200, {"status": "ok"})

    def test_health_waits_for_no_lock(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        free, asked = threading.Event(), []

        def wait() -> list[str]:
            asked.append(1)
            assert free.wait(10)
            return []

        async def look() -> Any:
            answer = await ask(site.app, make_scope("GET", "/health"))
            assert answer is not None
            assert answer.status == 200
            return answer.json

        async def look_on() -> None:
            for _ in range(3):
                assert await look() == {"status": "ok", "broker": "busy"}
            assert asked == [1], "one asks for all"
            free.set()
            while await look() != {"status": "ok"}:
                pass

        monkeypatch.setattr(site.broker, "queues", wait)
        asyncio.run(look_on())

    def test_one_that_takes_long_to_fail_is_ill_until_it_has_answered(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        turns: SimpleQueue[str] = SimpleQueue()
        begun: SimpleQueue[None] = SimpleQueue()

        def fail_or_answer() -> list[str]:
            begun.put(None)
            reason = turns.get(timeout=10)
            if reason:
                raise BrokerUnavailable(reason)
            return []

        async def look() -> Any:
            answer = await ask(site.app, make_scope("GET", "/health"))
            assert answer is not None
            return answer.json

        async def look_until(changed: Any) -> Any:
            while (seen := await look()) == changed:
                pass
            return seen

        async def look_on() -> None:
            busy = {"status": "ok", "broker": "busy"}
            ill = {"status": "unavailable", "reason": "the disk is full"}
            assert await look() == busy
            turns.put("the disk is full")
            assert await look_until(busy) == ill
            for _ in range(3):
                assert await look() == ill, "nothing new is known"
            begun.get(timeout=10)
            begun.get(timeout=10)
            turns.put("")
            assert await look_until(ill) in (busy, {"status": "ok"})
            turns.put("")

        monkeypatch.setattr(site.broker, "queues", fail_or_answer)
        asyncio.run(look_on())

    @pytest.mark.usefixtures("patient")
    def test_health_of_a_broken_broker(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise BrokerUnavailable("the disk is full")

        for verb in ("queues", "survey"):
            monkeypatch.setattr(site.broker, verb, fail)
        answer = site.get("/health")
        assert answer.status == 503
        assert answer.json == {"status": "unavailable", "reason": "the disk is full"}
        answer = site.get("/")
        assert answer.status == 503
        assert "the disk is full" in answer.body.decode()

    def test_stats_and_metrics(self, site: Site) -> None:
        assert site.get("/stats").json["queues"][0]["name"] == "work"
        answer = site.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b'taskflow_queue_visible_messages{queue="work"} 0\n' in answer.body


class TestReset:
    def test_it_empties_everything(self, site: Site) -> None:
        broker = site.broker
        broker.put_subscription(TopicSubscription("s1", "made", "https", "https://x.example/"))
        broker.publish("made", [Message("m1", "{}")])
        bury(broker, 1)
        broker.start_move("work-dlq")
        answer = site.post("/_taskflow/reset")
        assert answer.json == {"queues": 2, "topics": 1, "subscriptions": 2}
        assert (broker.queues(), broker.topics(), broker.subscriptions()) == ([], [], [])
        assert [task.status for task in broker.moves()] == ["CANCELLED"]
        with pytest.raises(QueueNotFound):
            broker.counts("~s1")

    def test_what_was_seen_may_be_sent_again(self, site: Site) -> None:
        message = Message("m1", "{}", group="g", deduplication_id="d")
        for _ in range(2):
            site.broker.create_queue("steps.fifo")
            site.broker.create_topic("prices.fifo")
            site.broker.subscribe("prices.fifo", "steps.fifo")
            site.broker.send("steps.fifo", [message])
            assert site.broker.counts("steps.fifo").visible == 1
            site.broker.publish(
                "prices.fifo", [msgspec.structs.replace(message, deduplication_id="e")]
            )
            assert site.broker.counts("steps.fifo").visible == 2
            site.post("/_taskflow/reset")

    def test_it_is_not_there_unless_allowed(self, backend: Backend) -> None:
        site = build(backend, allow_reset=False)
        site.broker.create_queue("work")
        assert site.post("/_taskflow/reset").status == 404
        assert site.broker.queues() == ["work"]

    def test_it_is_posted(self, site: Site) -> None:
        assert site.get("/_taskflow/reset").status == 404
        assert site.broker.queues() == ["work", "work-dlq"]


class TestAccess:
    @pytest.mark.parametrize(("method", "path", "verb"), ADDRESSES)
    def test_everything_asks_first(
        self, backend: Backend, method: str, path: str, verb: str
    ) -> None:
        asked: list[str] = []

        def refuse(request: HttpRequest, verb: str, _: str | None = None, /) -> HttpResponse:
            assert (request.method, request.path) == (method, path)
            asked.append(verb)
            return HttpResponse(401, (("www-authenticate", "Basic"),), b"who?")

        site = build(backend, refuse)
        site.broker.create_queue("work")
        answer = post(site.app, b"", FORM, path=path, method=method)
        assert (answer.status, answer.body) == (401, b"who?")
        assert asked == [verb]
        assert site.broker.queues() == ["work"]

    def test_health_does_not(self, backend: Backend) -> None:
        site = build(backend, lambda *_: HttpResponse(401, (), b""))
        assert site.get("/health").status == 200

    def test_no_other_page_is_unknown_to_these_tests(self, backend: Backend) -> None:
        known = {(method, path) for method, path, _ in ADDRESSES} | {("GET", "/health")}
        assert pages(backend, allow_all, allow_reset=True).keys() == known
