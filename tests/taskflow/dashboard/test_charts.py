"""Charts: how long messages waited, and marks where other code went out."""

import re

import pytest

from taskflow import Registry, Worker, publish
from taskflow.broker import Broker, WorkerReport
from taskflow.broker.action import DEPLOY, Action
from taskflow.broker.history import EVERYTHING
from taskflow.dashboard.deploys import deploys_of
from taskflow.dashboard.drawing import Line, Mark, chart
from taskflow.dashboard.visitor_rights import READ
from taskflow.message import Message
from taskflow.testing import ManualClock
from taskflow.worker.run_tally import Tally
from tests.taskflow.dashboard.conftest import HOSTILE
from tests.taskflow.dashboard.site_client import Client, words

SECOND, MINUTE, HOUR = 0, 12, 24
"""Numbers of spans: up to 1 s, 64 s, 4096 s."""


def report(
    broker: Broker, waits: dict[str, dict[int, int]], release: str = "", id: str = "w1"
) -> None:
    now = broker.clock.now()
    report = WorkerReport(id, "mail-1", 7, ("work",), now, 0, 4, {}, [])
    report = WorkerReport(
        **{name: getattr(report, name) for name in report.__dataclass_fields__}
        | {"waits": waits, "release": release}
    )
    broker.report(report)


class TestWaits:
    def test_a_point_tells_what_began_since_the_one_before(
        self, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        report(shop, {"work": {HOUR: 1000}})
        shop.note_history()
        taskflow_clock.advance(60)
        report(shop, {"work": {HOUR: 1000, SECOND: 60}, "other": {MINUTE: 40}})
        shop.note_history()
        (second,) = shop.history()[EVERYTHING]  # at the first look nothing is known of before
        assert (second.half_waited, second.most_waited) == (1.0, 64.0)
        (point,) = shop.history(queues=["other"])["other"]
        assert (point.half_waited, point.most_waited) == (64.0, 64.0)
        work = shop.history(queues=["work"])["work"][-1]
        assert (work.half_waited, work.most_waited) == (1.0, 1.0)

    def test_a_worker_that_is_new_counts_whole_and_one_that_left_takes_nothing_back(
        self, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        report(shop, {"work": {HOUR: 5}}, id="old")
        shop.note_history()
        shop.retire("old")
        taskflow_clock.advance(60)
        report(shop, {"work": {SECOND: 3}}, id="new")
        shop.note_history()
        assert shop.history()["work"][-1].most_waited == 1.0
        taskflow_clock.advance(60)
        report(shop, {"work": {SECOND: 3}}, id="new")
        shop.note_history()
        assert EVERYTHING not in shop.history("hour", ["work"])
        assert [one.most_waited for one in shop.history("hour", [EVERYTHING])[EVERYTHING]] == [1.0]

    def test_workers_count_first_attempts_from_sent_to_started(
        self,
        taskflow_broker: Broker,
        taskflow_clock: ManualClock,
        taskflow_registry: Registry,
    ) -> None:
        seen: list[int] = []

        @taskflow_registry.subscribe("made", queue="work", retries=1, backoff=1)
        def handle(payload: int) -> None:
            seen.append(payload)
            if len(seen) == 1:
                raise ValueError

        tally = Tally()
        worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[tally])
        worker.drain()
        publish("made", 1, broker=taskflow_broker)
        taskflow_clock.advance(50)
        worker.drain()
        taskflow_clock.advance(100)
        worker.drain()
        assert seen == [1, 1]
        assert tally.waits == {"work": {MINUTE: 1}}

    def test_the_pages_draw_them_once_something_is_known(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        assert "Sent to started" not in client.text("/")
        for minute in range(4):
            report(shop, {"work": {SECOND: 10 * minute, MINUTE: minute}})
            client.html("/")
            taskflow_clock.advance(60)
        for path, what in (("/", "In all queues"), ("/queues/work", "work")):
            html = client.html(path)
            assert "Sent to started" in html
            label = f'aria-label="{what}, from sent to started: 99 of 100 within 1 min 4 s'
            assert label in html.replace("\N{NO-BREAK SPACE}", " ")
            table = client.text(path, **{"as": "table"})
            assert "Longest due Half within 99 of 100 within" in table
            assert "1 min 4 s" in table.replace("\N{NO-BREAK SPACE}", " ")
        assert "Sent to started" not in client.html("/queues/other")


class TestDeploys:
    def test_a_release_that_workers_begin_to_report_is_marked(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        shop.send("work", [Message("m1", "{}")])
        for release in ("v1", "v1", HOSTILE, HOSTILE):
            report(shop, {}, release)
            client.html("/")
            taskflow_clock.advance(60)
        points = shop.history()[EVERYTHING]
        assert [one.name for one in deploys_of(shop, points, 0.0)] == [HOSTILE]
        html = client.html("/")
        assert '<line class="deploy"' in html
        assert "&lt;script&gt;alert(" in html
        assert "<script>alert" not in html
        assert "Dashed: releases that workers began to report" in words(html)
        assert '<line class="deploy"' in Client(shop, READ).html("/queues/work")

    def test_one_that_is_taken_back_is_marked_again_and_a_missing_report_is_not(
        self, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        for release in (*("a", "a", "", "a"), *["b"] * 6, "a"):
            if release:
                report(shop, {}, release)
            else:
                shop.retire("w1")
            shop.note_history()
            taskflow_clock.advance(60)
        found = deploys_of(shop, shop.history()[EVERYTHING], 0.0)
        assert [one.name for one in found] == ["b", "a"]

    def test_people_mark_what_no_worker_tells(
        self, client: Client, shop: Broker, taskflow_clock: ManualClock
    ) -> None:
        shop.send("work", [Message("m1", "{}")])
        client.html("/")
        shop.note_action(Action(who="ci", did=DEPLOY, target="4f2a91c"))
        for _ in range(2):
            taskflow_clock.advance(60)
            client.html("/")
        html = client.html("/")
        assert ">4f2a91c</text>" in html
        assert re.search(r'aria-label="[^"]*; 4f2a91c at \d\d:\d\d"', html)
        taskflow_clock.advance(3601)
        client.html("/")
        assert ">4f2a91c</text>" not in client.html("/")

    def test_no_more_than_a_few_are_marked(self, shop: Broker, taskflow_clock: ManualClock) -> None:
        for number in range(20):
            shop.note_action(Action(who="ci", did=DEPLOY, target=f"v{number}"))
            taskflow_clock.advance(1)
        found = deploys_of(shop, [], 0.0)
        assert [one.name for one in found] == [f"v{number}" for number in range(12, 20)]


@pytest.mark.parametrize(
    ("parts", "named"), [([0.1, 0.5, 0.9], 3), ([0.1, 0.15, 0.5], 2), ([0.99, 1.0], 1)]
)
def test_names_that_would_lie_on_each_other_are_left_to_the_tip(
    parts: list[float], named: int
) -> None:
    marks = [Mark(part, "11:31", f"v{part}") for part in parts]
    drawn = chart([Line("in", "sent", [1.0, 2.0])], ["11:30", "11:31"], "", marks=marks)
    assert drawn.count('<line class="deploy"') == len(parts)
    assert drawn.count('class="deploy-name"') == named
