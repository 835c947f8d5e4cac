"""What somebody types, or sends, to learn what is hidden or to break a page."""

import json
from html import unescape

import pytest

from taskflow.broker import Broker
from taskflow.message import Message
from tests.taskflow.dashboard.conftest import CARD, bury
from tests.taskflow.dashboard.site_client import Client, hidden_fields, words


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


class TestBodies:
    def test_no_body_keeps_others_out_of_a_file(self, client: Client, shop: Broker) -> None:
        bodies = {"a": '{"x": "\\ud800"}', "b": f'{{"x": NaN, "n": {2**80}}}', "c": "[1, null]"}
        shop.send("other", [Message(id, body) for id, body in bodies.items()])
        assert ids(client, "queue:other") == {"a", "b", "c"}
        csv = client.get("/search", **{"q": "queue:other", "as": "csv"}).body.decode()
        assert '"[1, null]"' in csv  # as JSON

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
        bury_body(shop, "[" * 900 + "]" * 900)
        answer = client.get("/messages/d0/resend", queue="work-dlq")
        assert answer.status == 409
        assert "nested" in words(answer.body.decode())


def bury_body(shop: Broker, body: str) -> None:
    shop.send("work", [Message("d0", body)])
    (one,) = shop.receive("work")
    assert shop.dead_letter([(one, "{}")]) == [True]


def edit(client: Client, shop: Broker, body: str) -> str:
    bury_body(shop, body)
    return client.html("/messages/d0/resend", queue="work-dlq")


def shown_body(page: str) -> str:
    return unescape(
        page.partition('<textarea id="payload"')[2].partition(">\n")[2].partition("</")[0]
    )


def resent(client: Client, shop: Broker, page: str, payload: str) -> str:
    fields = {**hidden_fields(page), "payload": payload}
    assert client.post("/act", fields).status == 303
    return shop.peek("work")[0].body


def json_or_text(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body
