"""The pages without a browser: what they show, what they refuse, who may, and the reset."""

import asyncio
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import TopicSubscription
from taskflow.dashboard import changing
from taskflow.dashboard.pages import pages
from taskflow.dashboard.showing import Failure, read_failure, redirect, write_moment, write_seconds
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Attribute, Attributes, Message
from taskflow.server.access import AllowsPage
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.protocol import HttpRequest, HttpResponse
from taskflow.server.waiting import Waiting
from taskflow.testing import ManualClock
from tests.taskflow.server.wire import FORM, Answer, ask, get, make_app, make_scope, post

HTML = "<b>&\"'"
ADDRESSES = [
    ("GET", "/", "read"),
    ("GET", "/queue", "read"),
    ("GET", "/dead-letters", "read"),
    ("POST", "/redrive", "manage"),
    ("GET", "/send", "manage"),
    ("POST", "/send", "manage"),
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

    def look(self, path: str, **query: Any) -> str:
        """The text of a page that is there."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer.body
        return answer.body.decode()

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

    def notice(self, answer: Answer) -> str:
        """What the page says that a form leads to."""
        assert answer.status == 303, answer.body
        to = urlsplit(answer.headers["location"])
        (text,) = parse_qs(to.query)["notice"]
        shown = get(self.app, to.path, to.query)
        assert shown.status == 200
        assert text in unescape(shown.body.decode())
        return text


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


def text_of(html: str) -> str:
    """A page's words without its elements."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


class TestHome:
    def test_queues_and_topics_with_their_counts(self, site: Site) -> None:
        bury(site.broker, 2)
        site.broker.send("work", [Message(f"m{i}", "{}") for i in range(1234)])
        site.broker.pause("work")
        html = site.look("/")
        assert "work paused 1,234 0 0 0 s 0 – 2 in work-dlq" in text_of(html)
        assert "made arn:aws:sns:us-east-1:000000000000:made work 1,234 –" in text_of(html)
        assert 'href="/dead-letters?queue=work-dlq"' in html

    def test_rates_come_with_the_second_look(self, site: Site, taskflow_clock: ManualClock) -> None:
        site.look("/")
        taskflow_clock.advance(5)
        text = text_of(site.look("/"))
        assert "Rates are over the last 5 s." in text
        assert "work 0 0 0 0 s 0 0.0 0 in work-dlq" in text

    def test_it_says_that_there_is_nothing(self, backend: Backend) -> None:
        text = text_of(build(backend).look("/"))
        assert "There are no queues yet." in text
        assert "There are no topics yet." in text

    def test_it_refreshes_to_itself_without_the_notice(self, site: Site) -> None:
        location = dict(redirect("/", notice=HTML).headers)["location"]
        html = site.look("/", **{k: v[0] for k, v in parse_qs(urlsplit(location).query).items()})
        assert '<meta http-equiv="refresh" content="5; url=/">' in html
        assert "&lt;b&gt;&amp;&#34;&#39;</p>" in html
        assert HTML not in html

    def test_it_stands_still_when_told_to(self, site: Site) -> None:
        assert "http-equiv" not in site.look("/", refresh="0")

    def test_a_notice_that_somebody_else_wrote_is_not_shown(self, site: Site) -> None:
        assert "expired" not in site.look("/", notice="Your key has expired. Call us.")
        assert "expired" not in site.look("/", notice="Your key has expired.", mark="0" * 16)

    def test_a_long_notice_is_cut(self, site: Site) -> None:
        assert "n" * 301 not in site.look("/", notice="n" * 1000)

    def test_a_subscription_to_a_url_counts_what_waits_for_it(self, site: Site) -> None:
        for id, url, pending in (("s1", "https://x.example/", False), ("s2", "https://<i>", True)):
            site.broker.put_subscription(
                TopicSubscription(id, "made", "https", url, pending=pending)
            )
        site.broker.publish("made", [Message("m1", "{}")])
        html = site.look("/")
        # One in `work` and one for the first URL; the second gets nothing yet.
        assert "https://<i> not confirmed https://x.example/ work 2 –" in text_of(html)
        assert "<i>" not in html


class TestQueue:
    def test_counts_settings_and_messages(self, site: Site, taskflow_clock: ManualClock) -> None:
        attributes: Attributes = {"<i>": "<u>", "n": Attribute("Number", "7")}
        site.broker.publish("made", [Message("m1", HTML, attributes)])
        site.broker.send("work", [Message("m2", "{}", delay=90.0), Message("m3", "x" * 501)])
        taskflow_clock.advance(1)
        html = site.look("/queue", name="work")
        text = text_of(html)
        assert HTML not in html
        assert "<i>" not in html
        assert "Visible 2 In flight 0 Delayed 1 Oldest 1 s" in text
        assert "m1 Sent 2027-01-15 08:00:00 UTC to made. Visible. Received 0 times. <b>&" in text
        assert "<i> <u> n 7" in text
        assert "Delayed for 1 min 29 s more." in text
        assert "x" * 501 not in text
        assert "The first 500 of 501 characters." in text
        assert "Dead letters to work-dlq after 3 receives" in text
        assert '<meta http-equiv="refresh" content="5; url=/queue?name=work">' in html

    def test_one_that_is_not_there(self, site: Site) -> None:
        answer = site.get("/queue", name="wrok")
        assert answer.status == 404
        assert "did you mean 'work'?" in text_of(answer.body.decode())

    @pytest.mark.parametrize("path", ["/queue", "/dead-letters"])
    def test_no_name(self, site: Site, path: str) -> None:
        assert site.get(path).status == 400


class TestDeadLetters:
    @pytest.mark.parametrize("queue", ["work", "work-dlq"])
    def test_letters_with_their_failures(self, site: Site, queue: str) -> None:
        record = {"reason": HTML, "failed_at": 1000.0, "error": None, "traceback": "File <x>"}
        bury(site.broker, 1, json.dumps(record))
        html = site.look("/dead-letters", queue=queue)
        assert HTML not in html
        assert f"Reason {HTML} Failed at 1970-01-01 00:16:40 UTC Traceback" in text_of(html)
        assert "File &lt;x&gt;</pre></details>" in html
        assert "Error" not in html
        assert "From work ." in text_of(html)
        assert "http-equiv" not in html  # or the ticks would go

    def test_a_hundred_are_shown_and_the_rest_is_counted(self, site: Site) -> None:
        bury(site.broker, 103)
        html = site.look("/dead-letters", queue="work-dlq")
        assert html.count("<article") == 100
        assert "The oldest 100 of 103; 3 more are not shown." in text_of(html)

    def test_what_has_no_source_cannot_be_ticked(self, site: Site) -> None:
        site.broker.send("work-dlq", [Message("m1", "{}")])
        html = site.look("/dead-letters", queue="work-dlq")
        assert re.search(r'value="m1" disabled', html)
        assert "It has no failure record." in html

    def test_a_queue_without_one(self, site: Site) -> None:
        site.broker.create_queue("plain")
        answer = site.get("/dead-letters", queue="plain")
        assert answer.status == 404
        assert "has no dead-letter queue" in answer.body.decode()

    @pytest.mark.parametrize(
        ("record", "facts"),
        [
            ("no json", {"reason": "no json"}),
            ("[1]", {"reason": "[1]"}),
            ("[" * 100_000, {"reason": "[" * 100_000}),
            ('{"failed_at": 1e400}', {"failed_at": float("inf")}),
            ('{"a": {"b": 1}, "c": null}', {"a": "{'b': 1}"}),
        ],
    )
    def test_a_record_may_be_anything(self, record: str, facts: dict[str, Any]) -> None:
        assert read_failure(record) == Failure(facts, "")

    def test_a_record_of_nonsense_is_shown(self, site: Site) -> None:
        bury(site.broker, 1, '{"failed_at": 1e400, "sent_at": "soon", "traceback": [1]}')
        text = text_of(site.look("/dead-letters", queue="work"))
        assert "Failed at inf Sent at soon Traceback [1]" in text


class TestRedrive:
    def test_the_ticked_ones(self, site: Site) -> None:
        bury(site.broker, 3)
        answer = site.post("/redrive", {"queue": "work-dlq", "id": ["d0", "d2"], "which": "x"})
        assert site.notice(answer) == "Redrove 2."
        assert [one.id for one in site.broker.peek("work")] == ["d0", "d2"]

    def test_all_in_steps(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changing, "CHUNK", 2)
        bury(site.broker, 5)
        answer = site.post("/redrive", {"queue": "work-dlq", "id": "d1", "which": "all"})
        assert site.notice(answer) == "Redrove 5."
        assert site.broker.counts("work").visible == 5

    def test_no_more_than_one_click_may(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changing, "MOST_REDRIVEN", 3)
        bury(site.broker, 5)
        answer = site.post("/redrive", {"queue": "work-dlq", "which": "all"})
        assert site.notice(answer) == "Redrove 3."
        assert site.broker.counts("work-dlq").visible == 2

    def test_what_stays_is_told(self, site: Site) -> None:
        site.broker.send("work-dlq", [Message("m1", "{}")])
        bury(site.broker, 1)
        answer = site.post("/redrive", {"queue": "work-dlq", "which": "all"})
        assert site.notice(answer).startswith("Redrove 1. The rest is gone, or stays")
        assert [one.id for one in site.broker.peek("work-dlq")] == ["m1"]

    @pytest.mark.parametrize(
        ("fields", "status", "words"),
        [
            ({"queue": "work-dlq", "which": "selected"}, 400, "No dead letter is selected"),
            ({"which": "all"}, 400, "queue"),
            ({"queue": "nowhere", "which": "all"}, 404, "no queue named 'nowhere'"),
        ],
    )
    def test_what_cannot_be_done(
        self, site: Site, fields: dict[str, str], status: int, words: str
    ) -> None:
        bury(site.broker, 1)
        answer = site.post("/redrive", fields)
        assert answer.status == status
        assert words.lower() in text_of(answer.body.decode()).lower()
        assert site.broker.counts("work-dlq").visible == 1


class TestSend:
    def test_to_a_queue(self, site: Site) -> None:
        fields = {
            "to": "queue:work",
            "body": "a\r\nb",
            "group": " g1 ",
            "attributes": "color = red\r\n\r\nsize:Number=7\r\nsum=1=1",
        }
        notice = site.notice(site.post("/send", fields))
        (sent,) = site.broker.peek("work")
        assert notice == f"Sent message {sent.id}."
        assert (sent.body, sent.group, sent.sender) == ("a\nb", "g1", "000000000000")
        assert sent.attributes == {
            "color": "red",
            "size": Attribute("Number", "7"),
            "sum": "1=1",
        }

    def test_to_a_topic(self, site: Site) -> None:
        notice = site.notice(site.post("/send", {"to": "topic:made", "body": "b"}))
        (sent,) = site.broker.peek("work")
        assert (sent.topic, notice) == ("made", f"Published message {sent.id} to made.")

    def test_to_a_fifo_queue(self, site: Site) -> None:
        site.broker.create_queue("steps.fifo")
        fields = {"to": "queue:steps.fifo", "body": "b", "group": "g", "deduplication_id": "d"}
        site.notice(site.post("/send", fields))
        (sent,) = site.broker.peek("steps.fifo")
        assert (sent.group, sent.deduplication_id) == ("g", "d")

    def test_the_form_is_filled_with_the_target(self, site: Site) -> None:
        html = site.look("/send", to="topic:made")
        assert '<option value="topic:made" selected>' in html
        assert "http-equiv" not in html  # or what is written would go

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"to": ""}, "Choose a queue or a topic"),
            ({"to": "work"}, "Choose a queue or a topic"),
            ({"to": "queue:nowhere"}, "No queue named 'nowhere'"),
            ({"to": "topic:nowhere"}, "No topic named 'nowhere'"),
            ({"to": "queue:steps.fifo"}, "is FIFO: a message needs a group"),
            ({"to": "queue:steps.fifo", "group": "g"}, "a message needs a deduplication id"),
            ({"group": "ö"}, "1 to 128 letters"),
            ({"body": ""}, "The message body is empty"),
            ({"body": "\0"}, "The message body holds"),
            ({"body": "b" * (1024 * 1024 + 1)}, "1048576 are allowed"),
            ({"attributes": "color"}, "The attribute 'color' is not written as name=value."),
            ({"attributes": "=red"}, "is not written as name=value."),
            ({"attributes": "a=1\na=2"}, "The attribute 'a' is there twice."),
            ({"attributes": "a:Number=one"}, "Can't cast the value"),
            ({"attributes": "a:Date=1"}, "is invalid"),
            ({"attributes": "a="}, "non-empty value"),
            ({"to": "topic:made", "attributes": "a:Number=one"}, "Could not cast"),
            (
                {"attributes": "\n".join(f"a{i}=1" for i in range(11))},
                "exceeds the allowed maximum",
            ),
        ],
    )
    def test_what_cannot_be_sent_is_said_over_the_filled_form(
        self, site: Site, changes: dict[str, str], words: str
    ) -> None:
        site.broker.create_queue("steps.fifo")
        fields = {"to": "queue:work", "body": f"{HTML} {{}}", **changes}
        answer = site.post("/send", fields)
        html = answer.body.decode()
        assert answer.status == 400
        assert words in text_of(html)
        assert HTML not in html
        assert fields["body"] in unescape(html)
        assert sum(site.broker.counts(name).visible for name in site.broker.queues()) == 0


class TestForms:
    """What is no form of these pages is refused before anything is done."""

    @pytest.mark.parametrize("path", ["/redrive", "/send", "/_taskflow/reset"])
    @pytest.mark.parametrize(
        "headers",
        [
            [("origin", "https://evil.example")],
            [("origin", "http://localhost:8000")],
            [("origin", "null")],
            [("origin", "http://[::1")],
            [("referer", "https://evil.example/page")],
            [("sec-fetch-site", "cross-site")],
            [("sec-fetch-site", "same-site")],
            [("sec-fetch-site", "cross-site"), ("origin", "http://localhost:9324")],
        ],
    )
    def test_posted_by_another_site(
        self, site: Site, path: str, headers: list[tuple[str, str]]
    ) -> None:
        bury(site.broker, 1)
        fields = {"queue": "work-dlq", "which": "all", "to": "queue:work", "body": "b"}
        assert site.post(path, fields, FORM, *headers).status == 403
        assert site.broker.counts("work-dlq").visible == 1
        assert site.broker.counts("work").visible == 0

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [("origin", "http://localhost:9324"), ("sec-fetch-site", "same-origin")],
            [("referer", "http://localhost:9324/send")],
            [("sec-fetch-site", "none")],
        ],
    )
    def test_posted_from_here_or_by_a_program(
        self, site: Site, headers: list[tuple[str, str]]
    ) -> None:
        fields = {"to": "queue:work", "body": "b"}
        assert site.post("/send", fields, FORM, *headers).status == 303

    @pytest.mark.parametrize(
        ("body", "kind", "words"),
        [
            (b"{}", "application/json", "A form is posted as"),
            (b"to=x", "text/plain", "A form is posted as"),
            (b"to=\xff", FORM[1], "not in UTF-8"),
            (b"to=%ff", FORM[1], "not in UTF-8"),
            (b"&".join([b"id=1"] * 1001), FORM[1], "More than 1000 values"),
        ],
    )
    def test_what_cannot_be_read(self, site: Site, body: bytes, kind: str, words: str) -> None:
        answer = site.post("/redrive", body, ("content-type", kind))
        assert answer.status == 400
        assert words in answer.body.decode()

    def test_a_query_that_cannot_be_read(self, site: Site) -> None:
        assert get(site.app, "/", "notice=%ff").status == 400


class TestMonitors:
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

    def test_health_of_a_broken_broker(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise BrokerUnavailable("the disk is full")

        monkeypatch.setattr(site.broker, "queues", fail)
        answer = site.get("/health")
        assert answer.status == 503
        assert answer.json == {"status": "unavailable", "reason": "the disk is full"}
        monkeypatch.setattr(site.broker, "send", fail)
        for answer in (site.get("/"), site.post("/send", {"to": "queue:work", "body": "b"})):
            assert answer.status == 503
            assert "The disk is full." in answer.body.decode()

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


@pytest.mark.parametrize("path", ["/", "/queue", "/send"])
def test_pages_shut_other_sites_out(site: Site, path: str) -> None:
    answer = site.get(path, name="work")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.S)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (86405, "1 d"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert write_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, '<time datetime="1970-01-01T00:00:00.000000Z">1970-01-01 00:00:00 UTC</time>'),
        (-1.0, "-1.0"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
        (True, "True"),
        ("<soon>", "<soon>"),
    ],
)
def test_moments(value: object, text: str) -> None:
    assert write_moment(value) == text
