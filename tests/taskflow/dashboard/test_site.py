"""The pages: what they say of a broker, to whom, and when something is not as it should be."""

import json
import re
from pathlib import Path

import pytest

from taskflow.broker import Broker
from taskflow.dashboard import message_rows
from taskflow.dashboard.drawing import Line, chart
from taskflow.dashboard.visitor_rights import READ
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.scheduling.schedules import schedules
from taskflow.testing import ManualClock, memory_broker
from tests.taskflow.dashboard.conftest import CARD, HOSTILE, bury, report
from tests.taskflow.dashboard.site_client import Client, words

PAGES = (
    "/",
    "/queues",
    "/queues/work",
    "/queues/work-dlq",
    "/dead",
    "/workflows",
    "/schedules",
    "/workers",
    "/search",
    "/record",
)


class TestStart:
    def test_what_is_wrong_comes_first_the_worst_before_the_rest(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        bury(shop, 3)
        shop.send("bill-1", [Message("m1", "{}")])
        shop.send("other", [Message("m2", "{}")])
        shop.pause("other")
        schedules.put("sweep", every="10s", publish=("made", {}), broker=shop)
        report(shop, "work")
        taskflow_clock.advance(120)
        text = client.text("/")
        assert "3 things need a person 2 more to watch. 1 of 4 queues is fine" in text
        order = [
            "3 × Refused in work",
            "bill-1: 1 wait and nobody works on it",
            "sweep has not run",
            "other: 1 wait",
            "mail-1 pid 3988 has not reported for 2 min",
        ]
        assert [text.index(one) for one in order] == sorted(text.index(one) for one in order)

    def test_nothing_is_wrong_and_nothing_is_there(self, client: Client) -> None:
        assert "Nothing needs a person 4 of 4 queues are fine" in client.text("/")
        with_nothing = Client(memory_broker())
        text = with_nothing.text("/")
        assert "There are no queues, no workers and no schedules yet." in text
        assert "taskflow worker" in text

    def test_rates_and_history_come_with_time(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        assert "Draws from the second minute on." in client.text("/")
        for i in range(3):
            shop.send("work", [Message(f"m{i}", "{}") for i in range(i * 60, i * 60 + 60)])
            taskflow_clock.advance(60)
            html = client.html("/")
        assert "1 messages a second come in, 0 are handled" in words(html)
        assert 'aria-label="Messages in all queues: sent' in html
        table = client.text("/", **{"as": "table"})
        assert "UTC Sent /s Handled /s Waiting Dead letters Longest due" in table

    def test_the_map_links_what_is_not_fine(self, client: Client, shop: Broker) -> None:
        for i in range(20):
            shop.create_queue(f"feed-{i:02}")
        bury(shop, 1)
        html = client.html("/")
        assert 'href="/queues/work" title="work: 1 dead letters"' in html
        assert 'title="feed-01' not in html
        assert "feed 20" in words(html)


class TestQueues:
    def test_they_are_filtered_sorted_and_paged_without_a_slip(
        self, client: Client, shop: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bury(shop, 2)
        shop.send("bill-1", [Message("m1", "{}")])
        assert "2 of 2" in client.text("/queues")
        assert "4 of 4" in client.text("/queues?q=")
        assert "bill-1" in client.text("/queues", q="group:bill waiting:1")
        assert "None of 4 match." in client.text("/queues", q="is:paused")
        assert "work" in client.text("/queues", q="topic:made dead:>1")
        csv = client.get("/queues", q="", sort="name", **{"as": "csv"}).body.decode()
        assert [line.split(",")[0] for line in csv.splitlines()] == [
            *("queue", "bill-1", "bill-2", "other", "work")
        ]
        lines = client.get("/queues", q="", sort="-dead", **{"as": "jsonl"}).body.splitlines()
        assert json.loads(lines[0])["dead_letters"] == 2

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ({"q": "quue:x"}, "There is no filter quue: here. Did you mean queue:?"),
            ({"q": "backlog:>x"}, "backlog:x is no number and no time."),
            ({"q": "x" * 2000}, "The filter has 2,000 characters; 1,000 are allowed."),
            ({"sort": "size"}, "Nothing is sorted by size here."),
            ({"after": "[1]"}, "The address names no place to go on from."),
            ({"as": "pdf"}, "There is no as=pdf."),
        ],
    )
    def test_what_cannot_be_asked(self, client: Client, query: dict[str, str], said: str) -> None:
        answer = client.get("/queues", **query)
        assert answer.status == 400
        assert said in words(answer.body.decode())

    def test_one_queue_with_its_messages(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        bury(shop, 2)
        shop.send("work", [Message(f"m{i}", json.dumps({"order": i})) for i in range(3)])
        report(shop, "work")
        text = client.text("/queues/work")
        assert "gets made · work-dlq after 3 receives" in text
        assert "order: 2" in text
        assert "mail-1 pid 3988" in text
        assert "Refused" in client.text("/queues/work", q="state:dead")
        assert "m1" in client.text("/queues/work", q="payload.order:1")
        assert "m2" not in client.text("/queues/work", q="payload.order:1")
        answer = client.get("/queues/wrk")
        assert answer.status == 404
        assert "There is no queue wrk. 404 · Did you mean work?" in words(answer.body.decode())


class TestDeadLetters:
    def test_by_cause_and_the_letters_of_one(self, client: Client, shop: Broker) -> None:
        bury(shop, 3)
        bury(shop, 2, "KeyError", "export")
        text = client.text("/dead")
        assert "5 dead letters, 2 causes In 1 queue." in text
        assert text.index("Refused") < text.index("KeyError")
        assert "3 letters" in client.text("/dead", q="error:Refused")
        first = shop.causes()[0]
        opened = client.html("/dead", open=first.id)
        assert "All 3…" in opened
        assert "Edit and resend" in opened
        lines = client.get("/dead", open=first.id, **{"as": "jsonl"}).body.splitlines()
        assert {json.loads(line)["id"] for line in lines} == {"d0", "d1", "d2"}

    def test_none(self, client: Client) -> None:
        assert "0 dead letters None." in client.text("/dead")


class TestHidden:
    def test_a_hidden_field_is_nowhere(self, shop: Broker) -> None:
        bury(shop, 1)
        (cause,) = shop.causes()
        client = Client(shop, hidden=["order"])
        pages = [
            client.html("/messages/d0", queue="work-dlq"),
            client.html("/dead", open=cause.id),
            client.html("/queues/work-dlq"),
            client.html("/messages/d0/resend", queue="work-dlq"),
            client.get("/dead", open=cause.id, **{"as": "csv"}).body.decode(),
            client.get("/dead", open=cause.id, **{"as": "jsonl"}).body.decode(),
        ]
        for page in pages:
            assert CARD not in page
            assert "ord_1" not in page
        assert "hidden: card_number" in pages[0]
        assert "2 fields are hidden by name" in pages[0]

    def test_nothing_hostile_is_let_through(self, client: Client, shop: Broker) -> None:
        bury(shop, 1, HOSTILE, HOSTILE)
        shop.send("work", [Message(HOSTILE, HOSTILE, {HOSTILE: HOSTILE})])
        (cause,) = shop.causes()
        for path in (
            *PAGES,
            f"/dead?open={cause.id}",
            "/messages/d0?queue=work-dlq",
            f"/messages/{HOSTILE}",
            "/search?q=script",
            "/queues?q=%3Cscript%3E",
            "/messages/d0/resend?queue=work-dlq",
        ):
            answer = client.get(path)
            assert answer.status < 500, path
            assert b"<script>alert" not in answer.body, path
            policy = dict(answer.headers)["content-security-policy"]
            assert policy.startswith("default-src 'none'")


class TestReaders:
    def test_who_may_only_read_sees_no_bodies_and_no_buttons(self, shop: Broker) -> None:
        bury(shop, 1)
        shop.send("work", [Message("m1", '{"colour": "vermilion"}', {"shade": "vermilion"})])
        (cause,) = shop.causes()
        reader = Client(shop, READ)
        for path in (
            *PAGES,
            "/messages/m1",
            "/messages/d0?queue=work-dlq",
            f"/dead?open={cause.id}",
            "/search?q=m1",
        ):
            html = reader.html(path)
            assert "vermilion" not in html
            assert "no such user, card" not in html
            assert 'name="do"' not in html
        assert "Refused" in reader.text("/messages/d0", queue="work-dlq")
        assert "Bodies need the role bodies" in reader.text("/messages/m1")
        assert b"vermilion" not in reader.get("/queues/work", **{"as": "csv"}).body

    @pytest.mark.parametrize(
        ("path", "query", "said"),
        [
            ("/queues/work", {"q": "vermilion"}, "Role bodies is needed"),
            ("/queues/work", {"q": "payload.colour:red"}, "There is no filter payload.colour:"),
            ("/send", {}, "Role act is needed"),
            ("/messages/d0/resend", {"queue": "work-dlq"}, "Role act is needed"),
        ],
    )
    def test_what_needs_more_says_so(
        self, shop: Broker, path: str, query: dict[str, str], said: str
    ) -> None:
        bury(shop, 1)
        answer = Client(shop, READ).get(path, **query)
        assert answer.status in (400, 403)
        assert said in words(answer.body.decode())


class TestSearch:
    def test_ids_names_and_words(self, client: Client, shop: Broker) -> None:
        bury(shop, 2)
        shop.send("bill-1", [Message("m1", '{"text": "Kettle, green"}')])
        assert "1 found for m1" in client.text("/search", q="m1")
        assert "found for kettle" in client.text("/search", q="kettle")
        assert "Refused in work" in client.text("/search", q="refused")
        assert "bill-1" in client.text("/search", q="bill")
        assert "d1" in client.text("/search", q="state:dead queue:work")
        assert "Nothing found" in client.text("/search", q="nowhere-at-all")


class TestWithout:
    def test_a_broker_that_does_not_answer(
        self,
        client: Client,
        shop: Broker,
        taskflow_clock: ManualClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        client.html("/")

        def fail() -> list[str]:
            raise BrokerUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(shop, "survey", fail)
            for _ in range(2):
                taskflow_clock.advance(30)
                answer = client.get("/dead")
            assert answer.status == 503
            text = words(answer.body.decode())
            assert "The broker does not answer Since" in text
            assert "for 30 s. Asked 2 times" in text
            assert "BrokerUnavailable : the disk is full" in text
            assert "Last known" in text
        assert "Nothing needs a person" in client.text("/")

    def test_a_page_that_fails_is_a_500_that_says_nothing_of_why(
        self, client: Client, shop: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(shop, "workers", fail)
        answer = client.get("/workers")
        assert answer.status == 500
        assert b"secret" not in answer.body

    def test_the_live_parts_stop_when_told_and_forms_never_look_again(self, client: Client) -> None:
        assert 'data-every="5"' in client.html("/")
        answer = client.get("/", live="off")
        assert b"data-every" not in answer.body
        assert ("set-cookie", "taskflow_live=off; Path=/; SameSite=Strict; HttpOnly") in (
            answer.headers
        )
        assert "data-every" not in client.html("/send")
        assert "data-every" in client.html("/queues/work", q="state:waiting")
        for text in ("kettle", "payload.n:1", "-payload.n:1"):  # bodies are read for these
            assert "data-every" not in client.html("/queues/work", q=text)

    @pytest.mark.parametrize("path", ["/nope", "/queues/x/y", "/messages/nope", "/workflows/nope"])
    def test_what_is_not_there(self, client: Client, path: str) -> None:
        assert client.get(path).status == 404

    def test_the_style_is_one_file_within_its_bounds(self) -> None:
        page = Path("taskflow/dashboard/page")
        lines = (page / "taskflow.css").read_text().splitlines()
        assert len(lines) < 400
        for one in page.glob("*.html"):
            assert " style=" not in one.read_text(), one


def test_ticks_of_times_are_round() -> None:
    """Not 33 min 20 s."""
    moments = [f"10:{minute:02}" for minute in range(60)]
    drawn = chart([Line("slow", "oldest", [60.0 * at for at in range(60)])], moments, "", unit="s")
    assert "20\N{NO-BREAK SPACE}min</text>" in drawn
    assert "40\N{NO-BREAK SPACE}min</text>" in drawn
    assert "min 20" not in drawn.partition("<rect")[0]


def test_large_bodies_are_read_so_far_and_the_page_says_so(
    shop: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_rows, "MOST_READ", 1000)
    shop.send("work", [Message(f"m{i}", json.dumps({"n": i, "x": "x" * 100})) for i in range(200)])
    client = Client(shop)
    html = client.html("/queues/work", q="payload.n:7")
    said = words(html)
    assert "None that was looked at matches." in said
    assert "0 shown, newest first." in said
    assert "messages were looked at" in said
    assert "there are more." in said
    found = re.search(r'after=([^"&]*)[^>]*>Go on from there', html)
    for _ in range(9):
        assert found is not None
        html = client.html("/queues/work", q="payload.n:7", after=found[1])
        found = re.search(r'after=([^"&]*)[^>]*>Go on from there', html)
        if "m7" in html:
            break
    assert "work/m7" in html
    assert found is None
