"""What came to a list since it was drawn is offered, and moves none of its rows."""

import re

from taskflow import Registry, task
from taskflow.broker import Broker
from taskflow.broker.action import Action
from taskflow.dashboard.visitor_rights import READ
from taskflow.message import Message
from taskflow.testing import ManualClock
from tests.taskflow.dashboard.conftest import HOSTILE, bury
from tests.taskflow.dashboard.site_client import Client, words


def top(html: str) -> str:
    """What the script asks with, to have the page as it was."""
    (found,) = re.findall(r'data-top="([^"]*)"', html)
    return str(found)


def rows(html: str) -> list[str]:
    """What the rows of the list are of."""
    return re.findall(r'data-row="([^"]*)"', html)


def send(broker: Broker, *ids: str, body: str = "{}") -> None:
    broker.send("work", [Message(id, body) for id in ids])


class TestMessages:
    def test_they_are_offered_by_a_link_and_the_rows_stay(
        self, client: Client, shop: Broker
    ) -> None:
        send(shop, "m1", "m2")
        drawn = client.html("/queues/work")
        assert "more came" not in visible(drawn)
        send(shop, "m3", "m4", "m5")
        later = client.html("/queues/work", top=top(drawn))
        assert rows(later) == rows(drawn) == ["work/m2", "work/m1"]
        assert "3 more came, show them" in visible(later)
        assert '<a href="/queues/work?"><strong>3' in later
        assert top(later) == top(drawn)
        assert len(rows(client.html("/queues/work?"))) == 5

    def test_of_a_filter_only_what_fits_is_counted(self, client: Client, shop: Broker) -> None:
        send(shop, "m1", body='{"n": 1}')
        drawn = client.html("/queues/work", q="payload.n:1")
        send(shop, "m2", body='{"n": 2}')
        send(shop, "m3", body='{"n": 1}')
        later = client.html("/queues/work", q="payload.n:1", top=top(drawn))
        assert "1 more came" in visible(later)

    def test_no_more_than_a_hundred_are_counted(self, client: Client, shop: Broker) -> None:
        send(shop, "m0")
        drawn = client.html("/queues/work")
        send(shop, *(f"m{i}" for i in range(1, 150)))
        assert "100+ more came" in visible(client.html("/queues/work", top=top(drawn)))

    def test_an_empty_list_and_a_later_page_begin_nowhere(
        self, client: Client, shop: Broker
    ) -> None:
        assert "data-top" not in client.html("/queues/work")
        send(shop, *(f"m{i}" for i in range(60)))
        drawn = client.html("/queues/work")
        (older,) = re.findall(r'after=([^"&]*)">(?:Older|Go on)', drawn)
        assert "data-top" not in client.html("/queues/work", after=older, top=top(drawn))

    def test_all_ticks_what_is_shown_and_not_what_came(self, client: Client, shop: Broker) -> None:
        send(shop, "m1")
        drawn = client.html("/queues/work")
        (link,) = re.findall(r'href="([^"]*tick=page[^"]*)"', drawn)
        send(shop, "m2")
        ticked = client.html(link.replace("&amp;", "&"))
        assert re.findall(r'value="(m\d)"[^>]* checked', ticked) == ["m1"]

    def test_an_id_may_be_anything(self, client: Client, shop: Broker) -> None:
        send(shop, HOSTILE)
        html = client.html("/queues/work")
        assert rows(html) == ["work/&lt;script&gt;alert(&#39;mine&#39;)&lt;/script&gt;"]

    def test_a_place_that_is_none_is_refused(self, client: Client) -> None:
        for path in ("/queues/work", "/record", "/workflows"):
            assert client.get(path, top="<b>").status == 400, path
        assert client.get("/record", top="nan").status == 400

    def test_who_sees_no_bodies_is_offered_the_same(self, shop: Broker) -> None:
        reader = Client(shop, READ)
        send(shop, "m1")
        drawn = reader.html("/queues/work")
        send(shop, "m2", body='"secret"')
        later = reader.html("/queues/work", top=top(drawn))
        assert "1 more came" in visible(later)
        assert "secret" not in later


def test_letters_of_a_cause(client: Client, shop: Broker) -> None:
    bury(shop, 2)
    (cause,) = shop.causes()
    drawn = client.html("/dead", open=cause.id)
    bury(shop, 3)
    later = client.html("/dead", open=cause.id, top=top(drawn))
    assert rows(later) == rows(drawn)
    assert "3 more came" in visible(later)
    assert f'href="/dead?open={cause.id}#c-{cause.id}"><strong>3' in later


def test_the_record(client: Client, shop: Broker, taskflow_clock: ManualClock) -> None:
    shop.note_action(Action(who="ada", did="pause"))
    drawn = client.html("/record")
    taskflow_clock.advance(1)
    shop.note_action(Action(who="ada", did="resume"))
    shop.note_action(Action(who="eve", did="pause"))
    later = client.html("/record", top=top(drawn))
    assert rows(later) == rows(drawn)
    assert "2 more came" in visible(later)
    mine = client.html("/record", q="who:ada", top=top(drawn))
    assert "1 more came" in visible(mine)


def test_runs(client: Client, taskflow_clock: ManualClock) -> None:
    @task(queue="work", result="1d", registry=Registry())
    def add(a: int) -> int:
        return a

    add.delay(1)
    drawn = client.html("/workflows", q="is:all")
    taskflow_clock.advance(1)
    add.delay(2)
    later = client.html("/workflows", q="is:all", top=top(drawn))
    assert rows(later) == rows(drawn)
    assert len(rows(later)) == 1
    assert "1 more came" in visible(later)


def visible(html: str) -> str:
    """The words of a page, without what it hides."""
    return words(re.sub(r"<p[^>]* hidden>.*?</p>", "", html))
