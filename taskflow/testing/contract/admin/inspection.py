"""Finding messages wherever they lie, dead letters by cause, and single letters that are mended."""

import json
from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish, WorkerReport
from taskflow.broker.action import Action, ActionQuery
from taskflow.broker.change import Change, Take
from taskflow.broker.history import EVERYTHING
from taskflow.broker.message_query import MessageQuery
from taskflow.errors import LimitExceeded, MessageNotFound, QueueNotFound
from taskflow.message import CAUSED_BY, FAILURE, Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs
from taskflow.wire.resending import edited

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]
TRACE = 'Traceback:\n  File "/srv/shop/orders.py", line {}, in charge\n    raise\nValueError: no'


def failure(line: int = 42, error: str | None = "shop.Declined", attempts: int = 3) -> str:
    """The failure record of a handler that raised there."""
    found = {"reason": f"failed {attempts} times", "handler": "shop.charge", "attempts": attempts}
    if error is not None:
        said = 'no "money" left: 100 €'
        found |= {"error": error, "message": said, "traceback": TRACE.format(line)}
    return json.dumps(found)


def ids(broker: Broker, **asked: object) -> list[str]:
    """Of all pages of what fits, in the order of the pages."""
    found: list[str] = []
    after = None
    for _ in range(1000):
        page = broker.find(MessageQuery(after=after, **asked))  # type: ignore[arg-type]
        found += [one.delivery.id for one in page.messages]
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages have no end")


@needs("inspection")
def test_messages_are_found_by_all_that_they_have(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    broker.create_queue("other")
    put("1")
    clock.advance(1)
    put("2", delay=60)
    clock.advance(1)
    broker.send("other", [Message("a", '{"city": "Köln"}', {"k": "50%_\\"}, group="g")])
    clock.advance(1)
    broker.send("other", [Message("run-1~2", "x", priority="high")])
    assert ids(broker) == ["run-1~2", "a", "2", "1"]
    assert ids(broker, order="oldest") == ["1", "2", "a", "run-1~2"]
    assert ids(broker, limit=1) == ["run-1~2", "a", "2", "1"]
    assert ids(broker, queues=["other"], order="oldest", limit=1) == ["a", "run-1~2"]
    assert ids(broker, queues=["w*"]) == ["2", "1"]
    assert ids(broker, topics=["ma*"]) == ["2", "1"]
    assert ids(broker, topics=["", "nosuch"]) == ["run-1~2", "a"]
    assert ids(broker, ids=["1", "a", "nosuch"]) == ["a", "1"]
    assert ids(broker, ids=["run-1*"], queues=["other", "work"]) == ["run-1~2"]
    assert ids(broker, groups=["g"]) == ids(broker, groups=["g*"]) == ["a"]
    assert ids(broker, sent_from=1001.0, sent_before=1003.0) == ["a", "2"]
    assert ids(broker, text="Köln") == ["a"]
    assert ids(broker, text="CITY") == ["a"]
    assert ids(broker, text="50%_\\") == ["a"]
    assert ids(broker, text="_5") == []
    get()
    page = broker.find(MessageQuery(order="oldest"))
    assert [(one.delivery.id, one.state, one.attempts) for one in page.messages] == [
        ("1", "in_flight", 1),
        ("2", "delayed", 0),
        ("a", "waiting", 0),
        ("run-1~2", "waiting", 0),
    ]
    assert (page.looked, page.next, page.messages[0].delivery.receipt) == (4, None, "")
    assert ids(broker, states=["in_flight"]) == ["1"]
    assert ids(broker, states=["delayed"]) == ["2"]
    assert ids(broker, states=["waiting"]) == ["run-1~2", "a"]
    assert ids(broker, states=["waiting", "delayed"]) == ["run-1~2", "a", "2"]
    assert ids(broker, attempts_from=1, attempts_to=1) == ["1"]
    broker.apply([Change(keys=[Take("unique", "run-1")])])
    assert ids(broker, keys=["unique"]) == ["run-1~2"]
    assert ids(broker, keys=["nosuch"]) == []
    clock.advance(345_600)
    assert ids(broker) == []  # past their retention


@needs("inspection")
def test_a_page_is_had_again_without_what_came_since_and_that_alone(
    broker: Broker, clock: ManualClock, put: Put
) -> None:
    broker.create_queue("other")
    for number in range(12):
        put(f"a{number}")
    for asked in ({}, {"queues": ["work"]}, {"states": ["waiting"]}, {"text": "a"}):
        page = broker.find(MessageQuery(limit=5, **asked))
        assert page.top is not None
        found = [one.delivery.id for one in page.messages]
        for number in range(3):  # within the same instant
            put(f"{len(found)}-{number}-{len(asked)}-{'-'.join(asked)}a")
        again = broker.find(MessageQuery(limit=5, top=page.top, **asked))
        assert [one.delivery.id for one in again.messages] == found
        assert again.top == page.top
        came = broker.find(MessageQuery(limit=5, came=page.top, **asked))
        assert sorted(one.delivery.id[:3] for one in came.messages) == ["5-0", "5-1", "5-2"]
        assert came.next is None
    assert broker.find(MessageQuery(queues=["other"])).top is None
    oldest = broker.find(MessageQuery(order="oldest", limit=1))
    same = broker.find(MessageQuery(order="oldest", limit=1, top=oldest.top))
    assert [one.delivery.id for one in same.messages] == ["a0"]


@needs("inspection")
def test_what_cannot_be_asked_is_refused(broker: Broker, queue: str) -> None:
    with pytest.raises(QueueNotFound):
        broker.find(MessageQuery(queues=["nosuch"]))
    for query, why in (
        (MessageQuery(limit=501), "1 to 500"),
        (MessageQuery(states=["sad"]), "in_flight"),  # type: ignore[list-item]
        (MessageQuery(text=""), "1 to 1000"),
        (MessageQuery(ids=["a\0"]), "no text"),
        (MessageQuery(after="yesterday"), "the `next` of a page"),
        (MessageQuery(came="yesterday"), "the `next` of a page"),
        (MessageQuery(after="1.1", top="1.1"), "one of after, top and came"),
    ):
        with pytest.raises(LimitExceeded, match=why):
            broker.find(query)


@needs("inspection", "dead_letters", "repairs")
def test_dead_letters_are_counted_by_cause(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2", "3", "4")
    held = get()
    clock.advance(5)
    broker.dead_letter([(held[0], failure()), (held[1], failure(line=7))])
    clock.advance(3600)
    broker.dead_letter([(one, failure(attempts=4)) for one in held[2:]])
    most, least = broker.causes()
    assert (most.queue, most.source, most.handler, most.error) == (
        *("work-dlq", "work", "shop.charge"),
        "shop.Declined",
    )
    assert most.place == "shop/orders.py:42 in charge"
    assert (most.count, most.first_at, most.last_at) == (3, 1005.0, 4605.0)
    assert most.sample in ("3", "4")
    assert list(most.trend)[-2:] == [1, 2]
    assert (least.count, least.sample, least.place) == (1, "2", "shop/orders.py:7 in charge")
    assert broker.causes("work-dlq") == [most, least]
    assert broker.causes("work") == []
    found = broker.find(MessageQuery(causes=[most.id], order="oldest")).messages
    assert [(one.state, one.cause, one.died_at, one.attempts) for one in found] == [
        ("dead", most.id, 1005.0, 3),
        ("dead", most.id, 4605.0, 4),
        ("dead", most.id, 4605.0, 4),
    ]
    assert found[0].delivery.source == "work"
    oldest = ids(broker, handlers=["shop.*"], order="oldest", limit=2)
    assert sorted(oldest[:2]) == ["1", "2"]
    assert sorted(ids(broker, errors=["shop.Declined"], attempts_from=4)) == ["3", "4"]
    assert ids(broker, errors=["nosuch"]) == ids(broker, sources=["other"]) == []
    assert sorted(ids(broker, sources=["work"], limit=1)) == ["1", "2", "3", "4"]
    assert sorted(ids(broker, died_from=4605.0, limit=1)) == ["3", "4"]
    assert sorted(ids(broker, states=["dead"], died_before=4605.0)) == ["1", "2"]
    assert sorted(ids(broker, text='no "money" left: 100 €')) == ["1", "2", "3", "4"]
    assert broker.redrive("work-dlq", ["1"]) == broker.purge("work-dlq", ["2"]) == 1
    broker.delete([Finish(one) for one in broker.receive("work-dlq", limit=1)])
    (last,) = broker.causes()
    assert (last.id, last.count, last.first_at) == (most.id, 1, 4605.0)
    broker.delete_queue("work-dlq")
    assert broker.causes() == []


@needs("inspection", "dead_letters")
def test_letters_without_an_exception_have_causes_too(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2", "3", "4")
    held = get()
    broker.dead_letter([(held[0], '{"reason": "step 7 is over"}'), (held[1], "no JSON")])
    for _ in range(2):
        clock.advance(31)
        get()
    causes = broker.causes()
    assert sorted((one.count, one.reason.partition(":")[0]) for one in causes) == [
        (1, "it has no failure record"),
        (1, "step N is over"),
        (2, "received N times and never finished"),
    ]
    assert {(one.handler, one.error, one.place) for one in causes} == {(None, None, None)}
    clock.advance(14 * 86400)
    broker.upkeep()
    assert broker.causes() == []  # they are past their retention


@needs("inspection", "dead_letters")
def test_a_letter_is_edited_and_sent_anew(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    broker.dead_letter([(one, failure()) for one in get()])
    letter = broker.peek("work-dlq", ids=["1"])[0]
    again = edited(letter, "3", body='{"specversion": "1.0", "id": "1", "data": 7}')
    with pytest.raises(MessageNotFound, match="no dead letter 'nosuch'"):
        broker.resend("work-dlq", "nosuch", again)
    with pytest.raises(LimitExceeded, match="the id of its letter"):
        broker.resend("work-dlq", "1", edited(letter, "1"))
    assert broker.resend("work-dlq", "1", again) == "3"
    assert [one.id for one in broker.peek("work-dlq")] == ["2"]
    (came,) = get()
    assert (came.id, came.topic, dict(came.attributes)) == ("3", "made", {CAUSED_BY: "1"})
    assert json.loads(came.body) == {"specversion": "1.0", "id": "3", "data": 7}
    with pytest.raises(LimitExceeded, match="holds a message '3'"):
        broker.resend("work-dlq", "2", Message("3", "x"))
    assert [one.count for one in broker.causes()] == [1]


@needs("inspection", "dead_letters", "repairs")
def test_a_letter_that_is_lent_is_nobody_elses(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    broker.dead_letter([(get()[0], failure())])
    lent = broker.lend("work-dlq", "1", 60)
    assert (lent.id, lent.receive_count, FAILURE in lent.attributes) == ("1", 0, True)
    with pytest.raises(LimitExceeded, match="somebody holds"):
        broker.lend("work-dlq", "1", 60)
    with pytest.raises(LimitExceeded, match="somebody holds"):
        broker.resend("work-dlq", "1", Message("2", "x"))
    assert broker.redrive("work-dlq") == broker.transfer("work-dlq", ["1"], "work") == 0
    assert broker.receive("work-dlq") == []
    assert broker.change_visibility([(lent, 0)]) == [True]
    assert broker.redrive("work-dlq") == 1
    broker.dead_letter([(get()[0], failure())])
    broker.lend("work-dlq", "1", 60)
    clock.advance(61)  # whoever lent it has gone
    broker.create_queue("elsewhere")
    assert broker.transfer("work-dlq", ["1", "nosuch"], "elsewhere") == 1
    (moved,) = broker.receive("elsewhere")
    assert (moved.id, moved.source, FAILURE in moved.attributes) == ("1", None, False)
    assert broker.causes() == []
    with pytest.raises(MessageNotFound):
        broker.lend("work-dlq", "1", 60)


@needs("runs")
def test_what_people_did_is_listed(broker: Broker, clock: ManualClock) -> None:
    for at, did in enumerate(["redrive", "delete", "pause"]):
        broker.note_action(Action(who="ada", did=did, queue=f"q{at}", count=at, via="cli"))
        clock.advance(1)
    broker.note_action(Action(who="bob\x1b[2J" + "!" * 300, did="pause", queue="q2"))
    page = broker.list_actions(ActionQuery(limit=1))
    assert (page.actions[0].did, len(page.actions[0].who), page.actions[0].at) == (
        *("pause", 200),
        1003.0,
    )
    rest = broker.list_actions(ActionQuery(after=page.next))
    assert [(one.did, one.count, one.at) for one in rest.actions] == [
        ("pause", 2, 1002.0),
        ("delete", 1, 1001.0),
        ("redrive", 0, 1000.0),
    ]
    assert [one.did for one in broker.list_actions(ActionQuery(who="ada", queue="q1")).actions] == [
        "delete"
    ]
    chosen = broker.list_actions(ActionQuery(did="pause", at_from=1002.0, at_before=1003.0))
    assert [one.who for one in chosen.actions] == ["ada"]
    clock.advance(90 * 86400)
    assert broker.list_actions().actions == []


@needs("runs")
def test_what_queues_looked_like_is_kept(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2", "3")
    assert broker.note_history()
    assert not broker.note_history()  # this minute has its point
    clock.advance(60)
    put("4")
    broker.delete([Finish(one) for one in get(limit=2)])
    assert broker.note_history()
    first, second = broker.history()["work"]
    assert (first.at, first.visible, first.sent, first.handled) == (960.0, 3, None, None)
    assert (second.at, second.sent, second.handled, second.died) == (1020.0, 1, 2, 0)
    assert [one.at for one in broker.history("days", ["work"])["work"]] == [900.0]
    assert broker.history(queues=["nosuch"]) == {}
    clock.advance(3600)
    broker.note_history()
    assert [one.at for one in broker.history()["work"]] == [4620.0]
    assert [one.at for one in broker.history("days")["work"]] == [900.0, 4500.0]


@needs("runs", "coordination")
def test_how_long_messages_waited_is_kept(broker: Broker, clock: ManualClock, queue: str) -> None:
    for waited in ({}, {0: 99, 12: 1}, {0: 99, 12: 3}):
        report = WorkerReport(
            *("w1", "host", 7, (queue,), 1000.0, 0, 8, {}, []),
            waits={queue: waited},
            release="v1",
        )
        broker.report(report)
        broker.note_history()
        clock.advance(60)
    for name in (queue, EVERYTHING):
        points = broker.history(queues=[name])[name]
        waits = [(one.half_waited, one.most_waited) for one in points]
        assert waits[-2:] == [(1.0, 1.0), (64.0, 64.0)]
    assert [one.releases for one in broker.history()[EVERYTHING]] == [["v1"]] * 3


__all__ = collected(globals())
