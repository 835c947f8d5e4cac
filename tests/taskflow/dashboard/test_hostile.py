"""What somebody types, or sends, to learn what is hidden or to break a page."""

import json
import re
from html import unescape
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.hiding import Hiding
from taskflow.dashboard.message_terms import MOST_ASKED, WITH_BODIES, to_query
from taskflow.dashboard.redrives import Redrive, run_redrive
from taskflow.dashboard.site import Site
from taskflow.dashboard.terms import read_filter
from taskflow.dashboard.visitor_rights import Who, is_local
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.wire.failure_record import never_finished
from tests.taskflow.dashboard.conftest import CARD, bury
from tests.taskflow.dashboard.site_client import Client, hidden_fields, words

DEPTHS = (9000, 1400, 900)
"""Of these each Python reads one as JSON that is too deep for functions of ours: 3.11, 3.12, 3.13
read up to 1,000, 1,500 and 10,000 levels, and functions may call each other 1,000 deep."""


def ids(client: Client, query: str) -> set[str]:
    """The messages that a filter finds."""
    file = client.get("/search", **{"q": query, "as": "jsonl"})
    assert file.status == 200, words(file.body.decode())
    return {json.loads(line)["id"] for line in file.body.splitlines()}


class TestFilters:
    @pytest.mark.parametrize("word", [CARD, CARD[:6], "hunter22", "topsecret"])
    def test_words_find_nothing_in_hidden_fields(
        self, client: Client, shop: Broker, word: str
    ) -> None:
        bury(shop, 1)
        body = json.dumps({"note": "password=hunter22", "name": "Ada", "card": {"no": CARD}})
        shop.send("other", [Message("m1", body, {"api_key": "topsecret", "to": "x@y.z"})])
        shop.send("other", [Message("m2", "token: topsecret, name: Ada")])
        assert ids(client, f'"{word}"') == set()
        assert ids(client, f'"{word}" "Ada"') == set()
        assert ids(client, '"Ada"') == {"m1", "m2"}
        assert ids(client, '"x@y.z" "name"') == {"m1"}

    def test_of_a_long_word_the_broker_is_asked_for_the_beginning(
        self, client: Client, shop: Broker
    ) -> None:
        """A body of nearly that costs as many steps for each of its characters."""
        begin = "a" * MOST_ASKED
        shop.send("other", [Message("m1", f"<{begin}bc>"), Message("m2", f"<{begin}bd>")])
        assert ids(client, f"{begin}bc") == {"m1"}
        assert ids(client, f"{begin}b") == {"m1", "m2"}
        found = read_filter("a" * 500, WITH_BODIES, 0.0)
        assert to_query(found, {}, 0.0, True).text == begin

    @pytest.mark.parametrize(
        "query",
        [
            "attempt:foo",
            "age:soon",
            "sent:2026-13-45",
            "died:x",
            "-key:a",
            "attempt:inf",
            "attempt:>nan",
            "sent:1e999d",
        ],
    )
    def test_a_term_that_would_part_nothing_is_refused(self, client: Client, query: str) -> None:
        assert client.get("/search", q=query).status == 400

    def test_all_terms_hold_also_those_about_the_same(self, client: Client, shop: Broker) -> None:
        bury(shop, 1)
        shop.send("other", [Message("m1", "{}")])
        assert ids(client, "age:>1h age:<2h") == set()
        assert ids(client, "sent:<2h sent:>1h") == set()
        assert ids(client, "age:<1h sent:<2h") == {"m1", "d0"}
        assert ids(client, "queue:other queue:work") == set()
        assert ids(client, "id:m1 id:m2") == set()
        assert ids(client, "attempt:0,3") == {"m1", "d0"}
        assert ids(client, "attempt:>2.5 attempt:<3.5") == {"d0"}
        assert ids(client, "attempt:<1e30") == {"m1", "d0"}
        assert ids(client, 'handler:"<lambda>"') == set()


never = json.dumps({"reason": never_finished(5), "queue": "work", "attempts": 5})


class TestBodies:
    def test_no_body_keeps_others_out_of_a_file(self, client: Client, shop: Broker) -> None:
        bodies = {"a": '{"x": "\\ud800"}', "b": f'{{"x": NaN, "n": {2**80}}}', "c": "[1, null]"}
        shop.send("other", [Message(id, body) for id, body in bodies.items()])
        assert ids(client, "queue:other") == {"a", "b", "c"}
        csv = client.get("/search", **{"q": "queue:other", "as": "csv"}).body.decode()
        assert '"[1, null]"' in csv  # as JSON

    @pytest.mark.parametrize(
        "record", [never, "[]", '{"error": "E"}', '{"attempts": 1e999, "handler": [1]}', "[" * 9000]
    )
    def test_a_letter_is_shown_whatever_its_failure_record_says(
        self, client: Client, shop: Broker, record: str
    ) -> None:
        bury_body(shop, "{}", record)
        assert "dead" in client.text("/messages/d0")

    def test_a_page_reads_no_more_of_large_bodies_than_it_shows(
        self, client: Client, shop: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = json.dumps({"items": [{"name": "x" * 50}] * 2_000})
        shop.send("other", [Message("a", body)])
        walked: list[object] = []

        def walks(*given: object) -> None:
            walked.append(given)

        monkeypatch.setattr(Hiding, "shown", walks)
        for page in ("/queues/other", "/search?q=id:a"):
            assert "/messages/a" in client.html(page)
        assert not walked

    def test_a_long_text_is_shown_from_its_beginning(self, client: Client, shop: Broker) -> None:
        shop.send(
            "other", [Message("a", "<b>" + "x" * 30_000), Message("b", json.dumps("y" * 30_000))]
        )
        assert "&lt;b&gt;xxxx" in client.html("/messages/a")
        assert "yyyy" in client.html("/messages/b")


class TestEditing:
    @pytest.mark.parametrize(
        "body", ['{"note": "password=hunter22", "n": 1}', "token: hunter22, and more"]
    )
    def test_what_a_page_hides_is_hidden_while_it_is_edited(
        self, client: Client, shop: Broker, body: str
    ) -> None:
        page = edit(client, shop, body)
        assert "hunter22" not in page
        assert json_or_text(resent(client, shop, page, shown_body(page))) == json_or_text(body)

    def test_numbers_and_letters_that_are_not_edited_stay(
        self, client: Client, shop: Broker
    ) -> None:
        page = edit(client, shop, f'{{"a": NaN, "b": {2**80}, "c": "\\ud800", "d": 1.10}}')
        body = resent(client, shop, page, shown_body(page).replace("1.1", "2.5"))
        assert body == f'{{"a":NaN,"b":{2**80},"c":"\\ud800","d":2.5}}'

    def test_what_is_nested_too_deep_is_said(self, client: Client, shop: Broker) -> None:
        refused = set()
        for number, depth in enumerate(DEPTHS):
            bury_body(shop, "[" * depth + "]" * depth, id=f"d{number}")
            answer = client.get(f"/messages/d{number}/resend", queue="work-dlq")
            assert answer.status in (200, 409)
            assert (answer.status == 409) == ("too deep" in words(answer.body.decode()))
            refused.add(answer.status)
        assert 409 in refused

    @pytest.mark.parametrize("sure", [{}, {"sure": "yes"}])
    def test_so_is_what_was_typed(self, client: Client, shop: Broker, sure: dict[str, str]) -> None:
        page = edit(client, shop, '{"a": 1}')
        said = ""
        for depth in DEPTHS:
            typed = '{"a":' * depth + "1" + "}" * depth
            answer = client.post("/act", {**hidden_fields(page), "payload": typed, **sure})
            assert answer.status in (200, 303, 422)
            said += words(answer.body.decode())
        assert "too deep" in said


def bury_body(shop: Broker, body: str, record: str = "{}", id: str = "d0") -> None:
    shop.send("work", [Message(id, body)])
    (one,) = shop.receive("work")
    assert shop.dead_letter([(one, record)]) == [True]


def edit(client: Client, shop: Broker, body: str) -> str:
    bury_body(shop, body)
    return client.html("/messages/d0/resend", queue="work-dlq")


def shown_body(page: str) -> str:
    return unescape(
        page.partition('<textarea id="payload"')[2].partition(">\n")[2].partition("</")[0]
    )


def resent(client: Client, shop: Broker, page: str, payload: str) -> str:
    fields = {**hidden_fields(page), "payload": payload}
    review = client.post("/act", fields)  # what changes is shown first, and hides the same
    assert review.status == 200
    assert b"hunter22" not in review.body
    fields["sure"] = "yes"
    assert client.post("/act", fields).status == 303
    return shop.peek("work")[0].body


def json_or_text(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body


class TestActions:
    def test_a_redrive_that_is_stopped_while_it_moves_letters_stays_stopped(
        self, shop: Broker, taskflow_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bury(shop, 8)
        taskflow_clock.advance(1)
        now = shop.clock.now()
        redrive = Redrive(
            id="r", who="operator", queue="work-dlq", total=8, before=now, started_at=now, rate=2
        )
        redrive.save(shop)
        move = shop.redrive

        def redrive_and_stop(*given: Any) -> int:
            other = Redrive.find(shop, "r")
            assert other is not None
            other.stop(shop, "stopped by support")
            return move(*given)

        monkeypatch.setattr(shop, "redrive", redrive_and_stop)
        assert not redrive.step(shop)
        kept = Redrive.find(shop, "r")
        assert kept is not None
        assert (kept.state, kept.why, kept.done) == ("ended", "stopped by support", 2)
        assert not Redrive.running(shop)

    def test_a_redrive_whose_queue_is_deleted_meanwhile_has_ended(
        self, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        bury(shop, 3)
        taskflow_clock.advance(1)
        now = shop.clock.now()
        redrive = Redrive(
            id="r",
            who="operator",
            queue="work-dlq",
            total=3,
            before=now,
            started_at=now,
            to="other",
        )
        redrive.save(shop)
        shop.delete_queue("other")
        run_redrive(shop, redrive)
        kept = Redrive.find(shop, "r")
        assert kept is not None
        assert (kept.state, kept.why) == ("ended", "it failed: QueueNotFound")
        assert shop.counts("work-dlq").visible == 3

    def test_a_rate_that_cannot_be_kept_is_refused(self, client: Client, shop: Broker) -> None:
        bury(shop, 1)
        page = f"/dead?open={shop.causes()[0].id}"
        assert client.press(page, "redrive-cause", rate="501").status == 400
        assert client.press(page, "redrive-cause", rate="500").status == 200

    def test_what_dies_after_the_page_was_drawn_is_not_deleted(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        shop.send("work", [Message("old", "{}")])
        (held,) = shop.receive("work")
        bury(shop, 2)
        page = client.press("/queues/work-dlq", "purge-queue")
        shop.redrive("work-dlq", ["d0"], 1)
        taskflow_clock.advance(1)
        assert shop.dead_letter([(held, "{}")]) == [True]
        assert "Deleted 1 message" in client.follow(client.confirm(page, n="2"))
        assert [one.id for one in shop.peek("work-dlq")] == ["old"]


class TestAddresses:
    def test_no_link_leads_to_another_site(self, client: Client) -> None:
        for path in ("//evil.example/x", "//", "///evil.example"):
            page = client.get(path).body.decode()
            assert not re.search(r'(href|action)="//', page), path

    @pytest.mark.parametrize("name", ["origin", "referer"])
    def test_a_proxy_that_says_nothing_is_known_by_where_its_browsers_are(self, name: str) -> None:
        there = {"host": "127.0.0.1:9325", name: "https://ops.example.com/"}
        assert not is_local(Asked(method="GET", path="/", headers=there, peer="127.0.0.1"))
        here = {"host": "127.0.0.1:9325", name: "http://localhost:9325/"}
        assert is_local(Asked(method="GET", path="/", headers=here, peer="127.0.0.1"))

    def test_a_path_forges_no_line_of_the_log(
        self, shop: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(_: Asked) -> Who:
            raise OSError("the users are away")

        answer = Site(shop, roles=fails).answer(Asked(method="GET", path="/x\nall is well"))
        assert answer.status == 500
        assert "\n" not in caplog.messages[0]
