"""Counts as JSON and as Prometheus text, and rates between two looks."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from taskflow import Registry
from taskflow.broker import Broker, Finish, QueueCounts, QueueSettings, WorkerReport
from taskflow.broker.settings import TopicSubscription
from taskflow.dashboard.survey import Surveyor
from taskflow.doctor.looking import look as facts_of
from taskflow.message import Message
from taskflow.telemetry.exposition import escape_label
from taskflow.telemetry.metrics import (
    Look,
    take_look,
    write_prometheus,
    write_stats,
)
from taskflow.testing import ManualClock

EMPTY = QueueCounts(0, 0, 0, 0.0, 0, 0)
SAMPLE = re.compile(r'([a-z_]+)(?:\{queue="((?:[^"\\\n]|\\[\\n"])*)"\})? ([0-9.]+)')


def look_at(at: float, **handled: int) -> Look:
    """A look at queues that have handled so many."""
    counts = {name: replace(EMPTY, handled=number) for name, number in handled.items()}
    return Look(at, counts, {}, {}, (), 0)


@pytest.fixture
def busy(taskflow_broker: Broker, taskflow_clock: ManualClock) -> Broker:
    """`work` has 2 visible, 1 in flight, 1 delayed, 1 handled, 1 dead letter; the oldest is 7 s."""
    broker = taskflow_broker
    broker.create_queue("work-dlq")
    broker.create_queue(
        "work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3, visibility_timeout=60)
    )
    broker.create_topic("made")
    broker.subscribe("made", "work")
    broker.send("work", [Message(f"m{i}", "{}") for i in range(5)])
    broker.send("work", [Message("later", "{}", delay=600.0)])
    done, dead, _ = broker.receive("work", limit=3)
    broker.delete([Finish(done)])
    broker.dead_letter([(dead, "{}")])
    broker.report(WorkerReport("w1", "here", 1, ("work",), taskflow_clock.now(), 1, 8, {}, []))
    taskflow_clock.advance(7)
    return broker


def samples(text: str) -> dict[tuple[str, str], float]:
    """Every sample by metric and queue; each line must be one, HELP or TYPE."""
    found = {}
    described: set[str] = set()
    for line in text.removesuffix("\n").split("\n"):
        if head := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line):
            described.add(head[1] + head[2])
            assert head[1] == "HELP" or head[3] in ("gauge", "counter")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert {"HELP" + match[1], "TYPE" + match[1]} <= described
        found[match[1], match[2] or ""] = float(match[3])
    return found


@pytest.mark.parametrize(
    ("metric", "queue", "value"),
    [
        ("taskflow_queue_visible_messages", "work", 2),
        ("taskflow_queue_in_flight_messages", "work", 1),
        ("taskflow_queue_delayed_messages", "work", 1),
        ("taskflow_queue_oldest_message_age_seconds", "work", 7),
        ("taskflow_queue_due_message_age_seconds", "work", 7),
        ("taskflow_queue_handled_total", "work", 1),
        ("taskflow_queue_dead_lettered_total", "work", 1),
        ("taskflow_queue_expired_total", "work", 0),
        ("taskflow_queue_paused", "work", 1),
        ("taskflow_queue_paused", "work-dlq", 0),
        ("taskflow_queue_visible_messages", "work-dlq", 1),
        ("taskflow_parked_polls", "", 4),
        ("taskflow_workers", "", 1),
    ],
)
def test_prometheus_has_it(busy: Broker, metric: str, queue: str, value: float) -> None:
    busy.pause("work")
    text = write_prometheus(take_look(busy, 4)).decode()
    assert samples(text)[metric, queue] == value


def test_counters_and_gauges_say_what_they_are(busy: Broker) -> None:
    text = write_prometheus(take_look(busy, 0)).decode()
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    assert {name for name, kind in kinds.items() if kind == "counter"} == {
        "taskflow_queue_handled_total",
        "taskflow_queue_dead_lettered_total",
        "taskflow_queue_expired_total",
    }


def test_labels_are_escaped() -> None:
    assert escape_label('a"b\\c\nd') == r"a\"b\\c\nd"
    look = Look(0.0, {'a"b\\c\nd': EMPTY}, {}, {}, (), 0)
    found = samples(write_prometheus(look).decode())
    assert ("taskflow_queue_handled_total", r"a\"b\\c\nd") in found


def test_stats_are_what_the_command_line_shows_and_more(busy: Broker) -> None:
    stats = json.loads(write_stats(take_look(busy, 4)))
    assert stats["queues"][0] == {
        "name": "work",
        "visible": 2,
        "in_flight": 1,
        "delayed": 1,
        "oldest_age_seconds": 7.0,
        "handled": 1,
        "dead_lettered": 1,
        "expired": 0,
        "paused": False,
        "due_age_seconds": 7.0,
    }
    assert [one["name"] for one in stats["queues"]] == ["work", "work-dlq"]
    assert stats["topics"] == [{"name": "made", "subscriptions": 1}]
    assert stats["parked_polls"] == 4
    (worker,) = stats["workers"]
    assert (worker["id"], worker["busy"], worker["slots"]) == ("w1", 1, 8)


def test_deliveries_to_urls_are_counted_apart(busy: Broker) -> None:
    busy.put_subscription(TopicSubscription("s1", "made", "https", "https://example.com/in"))
    busy.publish("made", [Message("m9", "{}")])
    look = take_look(busy, 0)
    assert look.deliveries["~s1"].visible == 1
    assert list(look.queues) == ["work", "work-dlq"]


@pytest.mark.parametrize(
    "look",
    [
        lambda broker: take_look(broker, 0),
        lambda broker: Surveyor(broker).look(),
        lambda broker: broker.note_history(),
        lambda broker: facts_of(broker, Registry(), "sqlite", {}),
    ],
    ids=["metrics", "dashboard", "history", "doctor"],
)
def test_who_looks_at_all_queues_asks_once(
    busy: Broker, monkeypatch: pytest.MonkeyPatch, look: Callable[[Broker], object]
) -> None:
    def asked(queue: str) -> None:
        raise AssertionError(f"{queue} was asked by itself")

    for verb in ("counts", "settings", "describe_queue"):
        monkeypatch.setattr(busy, verb, asked)
    assert look(busy)
