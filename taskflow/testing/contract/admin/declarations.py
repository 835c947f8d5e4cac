"""Topics, queues and subscriptions."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.errors import (
    InvalidName,
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicNotFound,
)
from taskflow.message import Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs


@needs("dead_letters")
def test_declaring_twice_changes_nothing(broker: Broker, queue: str) -> None:
    before = (broker.topics(), broker.queues(), broker.subscriptions())
    broker.create_topic("made")
    broker.create_queue("work", broker.settings("work"))
    broker.subscribe("made", "work")
    assert (broker.topics(), broker.queues(), broker.subscriptions()) == before
    assert before[:2] == (["made"], ["work", "work-dlq"])
    assert [(one.topic, one.queue) for one in before[2]] == [("made", "work")]


@needs("dead_letters")
def test_a_disagreeing_declaration_names_each_difference(broker: Broker, queue: str) -> None:
    with pytest.raises(QueueExists) as caught:
        broker.create_queue("work", QueueSettings(visibility_timeout=5, retention=60))
    text = str(caught.value)
    assert re.search(r"visibility_timeout is 30(\.0)?, declared as 5", text)
    assert re.search(r"retention is 345600(\.0)?, declared as 60", text)
    assert "max_receives is 2, declared as None" in text
    assert "delay" not in text
    assert broker.settings("work").visibility_timeout == 30


@needs("dead_letters")
def test_set_queue_replaces_the_settings(broker: Broker, queue: str) -> None:
    wanted = QueueSettings(visibility_timeout=5, dead_letter_queue="work-dlq", max_receives=9)
    broker.set_queue("work", wanted)
    assert broker.settings("work") == wanted


@pytest.mark.parametrize("name", ["order-created", "", "é", "a" * 257, "a b", "a/b/c", "Eu/a"])
def test_bad_topic_names_are_refused(broker: Broker, name: str) -> None:
    with pytest.raises(InvalidName, match="letters, digits"):
        broker.create_topic(name)
    assert broker.topics() == []


@pytest.mark.parametrize("name", ["a.b", "", "é", "a" * 81, "a b"])
def test_bad_queue_names_are_refused(broker: Broker, name: str) -> None:
    with pytest.raises(InvalidName, match="80 characters"):
        broker.create_queue(name)
    assert broker.queues() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"visibility_timeout": -1},
        {"visibility_timeout": 43201},
        {"visibility_timeout": float("nan")},
        {"retention": 59},
        {"retention": 14 * 86400 + 1},
        {"delay": -0.1},
        {"max_receives": 3},
        {"dead_letter_queue": "x"},
        {"dead_letter_queue": "x", "max_receives": 0},
        {"dead_letter_queue": "x", "max_receives": 1001},
    ],
)
def test_settings_outside_the_limits_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(LimitExceeded):
        QueueSettings(**settings)  # type: ignore[arg-type]


@needs("dead_letters")
def test_a_dead_letter_queue_must_exist_and_be_another(broker: Broker) -> None:
    with pytest.raises(QueueNotFound):
        broker.create_queue("q", QueueSettings(dead_letter_queue="nosuch", max_receives=1))
    with pytest.raises(LimitExceeded, match="its own"):
        broker.create_queue("q", QueueSettings(dead_letter_queue="q", max_receives=1))
    assert broker.queues() == []


def test_unknown_names_say_what_is_known(broker: Broker, queue: str) -> None:
    with pytest.raises(TopicNotFound, match=r"known: made .*did you mean 'made'"):
        broker.publish("mad", [Message("1", "x")])
    with pytest.raises(QueueNotFound, match="did you mean 'work'"):
        broker.receive("wrk")
    with pytest.raises(TopicNotFound):
        broker.subscribe("nosuch", "work")
    with pytest.raises(QueueNotFound):
        broker.subscribe("made", "nosuch")
    verbs: list[Callable[[str], object]] = [broker.counts, broker.settings, broker.peek]
    if broker.features.repairs:
        verbs += [broker.purge, broker.redrive]
    for verb in verbs:
        with pytest.raises(QueueNotFound):
            verb("nosuch")


# ---- one change at a time -----------------------------------------------------------------------
def test_threads_that_read_and_change_alone_lose_nothing(broker: Broker) -> None:
    broker.create_queue("work")

    def add_a_second(_: int) -> None:
        def change() -> None:
            settings = broker.settings("work")
            broker.set_queue("work", replace(settings, retention=settings.retention + 1))

        broker.together(change)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add_a_second, range(20)))
    assert broker.settings("work").retention == QueueSettings().retention + 20


@needs("atomic")
def test_what_fails_alone_is_undone(broker: Broker) -> None:
    def fail() -> None:
        broker.create_topic("made")
        broker.subscribe("made", "nowhere")

    def make() -> None:
        broker.create_topic("made")
        with pytest.raises(QueueNotFound):
            broker.subscribe("made", "nowhere")
        broker.create_queue("work")
        broker.subscribe("made", "work")

    with pytest.raises(QueueNotFound):
        broker.together(fail)
    assert broker.topics() == []
    broker.together(make)
    assert [one.queue for one in broker.subscriptions("made")] == ["work"]


__all__ = collected(globals())
