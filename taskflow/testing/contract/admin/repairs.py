"""Looking at what lies in queues, and repairing it: redrive, purge, counts, peek."""

from collections.abc import Callable

from taskflow.broker import Broker, Finish, QueueCounts
from taskflow.broker.settings import QueueSettings
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


@needs("dead_letters", "repairs")
def test_redrive_sends_letters_back_where_they_came_from(
    broker: Broker, put: Put, get: Get
) -> None:
    broker.create_queue("other", broker.settings("work"))
    put("1", "2")
    broker.send("other", [Message("3", "x", {"a": "b"})])
    broker.dead_letter([(held, '{"reason": "no"}') for held in get() + get("other")])
    assert broker.counts("work-dlq").visible == 3
    assert broker.redrive("work-dlq") == 3
    back = get()
    assert [(found.id, found.receive_count, dict(found.attributes)) for found in back] == [
        ("1", 1, {}),
        ("2", 1, {}),
    ]
    assert [(found.id, dict(found.attributes)) for found in get("other")] == [("3", {"a": "b"})]
    assert broker.counts("work-dlq").visible == 0


@needs("dead_letters", "repairs")
def test_redriven_messages_live_for_another_retention(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    broker.dead_letter([(get()[0], "{}")])
    clock.advance(345_600 + 1)  # past the retention of `work`
    broker.redrive("work-dlq")
    put("2")
    assert broker.counts("work").visible == 2
    assert [(found.id, found.sent_at) for found in get()] == [("1", 346601.0), ("2", 346601.0)]


@needs("dead_letters", "repairs")
def test_redrive_can_choose_and_limit(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    broker.dead_letter([(held, "{}") for held in get()])
    assert broker.redrive("work-dlq", ids=["2", "nosuch"]) == 1
    assert broker.redrive("work-dlq", limit=1) == 1
    assert {found.id for found in get()} == {"1", "2"}
    assert [found.id for found in broker.peek("work-dlq")] == ["3"]


@needs("dead_letters", "repairs")
def test_letters_of_unknown_origin_stay(broker: Broker, queue: str) -> None:
    broker.send("work-dlq", [Message("1", "x")])
    assert broker.redrive("work-dlq") == 0
    assert broker.counts("work-dlq").visible == 1


@needs("dead_letters", "repairs")
def test_a_redriven_event_may_be_handled_again_and_fail_again(
    broker: Broker, put: Put, get: Get
) -> None:
    put("1")
    for _ in range(3):
        assert broker.dead_letter([(get()[0], "{}")]) == [True]
        assert broker.redrive("work-dlq") == 1
    assert get()[0].receive_count == 1


@needs("repairs")
def test_purge_deletes_everything_in_flight_or_not(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    (held,) = get(limit=1)
    put("late", delay=5)
    assert broker.purge("work") == 3
    assert broker.delete([Finish(held)]) == [False]
    clock.advance(31)
    assert get() == []


@needs("repairs")
def test_purge_can_choose(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    assert broker.purge("work", ids=["1", "3"]) == 2
    assert [found.id for found in get()] == ["2"]


@needs("dead_letters")
def test_counts_tell_visible_in_flight_delayed_and_age(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    assert broker.counts("work") == QueueCounts(0, 0, 0, 0.0, 0, 0)
    put("1", "2", "3")
    put("late", delay=100)
    clock.advance(7)
    held = get(limit=2)
    assert broker.counts("work") == QueueCounts(1, 2, 1, 7.0, 0, 0, due_age_seconds=7.0)
    broker.delete([Finish(held[0])])
    broker.dead_letter([(held[1], "{}")])
    assert broker.counts("work") == QueueCounts(1, 0, 1, 7.0, 1, 1, due_age_seconds=7.0)


@needs("dead_letters")
def test_what_is_due_is_as_old_as_it_is_due_whatever_it_was_delayed(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("late", delay=3600)
    clock.advance(3590)
    counts = broker.counts("work")
    assert (counts.oldest_age_seconds, counts.due_age_seconds) == (3590.0, 0.0)
    clock.advance(15)
    counts = broker.counts("work")
    assert (counts.visible, counts.oldest_age_seconds, counts.due_age_seconds) == (1, 3605.0, 5.0)
    (held,) = get(visibility=20)
    assert broker.counts("work").due_age_seconds == 0.0
    clock.advance(27)  # its lease has ended
    assert broker.counts("work").due_age_seconds == 7.0
    put("new")
    clock.advance(1)
    assert broker.counts("work").due_age_seconds == 8.0
    broker.delete([Finish(held)])


def test_what_waits_is_counted_no_further_than_asked(broker: Broker, put: Put, get: Get) -> None:
    assert broker.waiting("work", 10) == 0
    put("1", "2", "3", "4")
    broker.send("work", [Message("late", "x", {}, 100)])
    get(limit=1)
    assert [broker.waiting("work", most) for most in (10, 3, 2, 0)] == [3, 3, 2, 0]


@needs("pauses")
def test_nothing_waits_in_a_paused_queue(broker: Broker, put: Put) -> None:
    put("1")
    broker.pause("work")
    assert broker.waiting("work", 10) == 0
    broker.pause("work", paused=False)
    assert broker.waiting("work", 10) == 1


def test_peek_changes_nothing(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    assert [found.id for found in broker.peek("work", limit=2)] == ["1", "2"]
    assert [found.id for found in broker.peek("work", ids=["3"])] == ["3"]
    assert [found.receive_count for found in get()] == [1, 1, 1]


__all__ = collected(globals())


def test_a_survey_tells_of_all_queues_what_each_tells_of_itself(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    broker.create_queue("other", QueueSettings(retention=3600.0))
    broker.send("other", [Message("old", "x")])
    clock.advance(3590)
    put("1", "2")
    put("3", delay=60)
    broker.send("other", [Message("young", "x")])
    clock.advance(20)
    get(limit=1)
    found = broker.survey()
    assert list(found) == broker.queues()
    for name, one in found.items():
        assert one.settings == broker.settings(name)
        assert one.counts == broker.counts(name)
        assert one.created_at == broker.describe_queue(name).created_at
    assert list(broker.survey(["work", "nosuch", "other"])) == ["other", "work"]
    assert broker.survey([]) == {}
