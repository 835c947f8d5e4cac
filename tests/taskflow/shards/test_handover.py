"""Messages come into several files from another broker, and leave them: each once."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from taskflow import open_broker
from taskflow.broker.change import Change, GiveBack
from taskflow.broker.handover import Handover
from taskflow.broker.settings import Finish, QueueSettings
from taskflow.brokers import open_address
from taskflow.brokers.copying import copy as copying
from taskflow.brokers.copying.copy import Copy
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.errors import ConfigError
from taskflow.message import Message
from taskflow.placing import PLACES
from taskflow.testing import ManualClock
from tests.taskflow.shards.dying import Died, dying_before_the_commit_of, id_in

Open = Callable[[], ShardedBroker]
IDS = [id_in(number, f"m{at}") for at in range(20) for number in (0, 1)]


@pytest.fixture
def other(tmp_path: Path, taskflow_clock: ManualClock) -> Any:
    """A broker of one file, with queues of the same names."""
    broker = open_broker(f"sqlite:///{tmp_path}/other.db", clock=taskflow_clock)
    for name in ("work-dlq", "work"):
        broker.create_queue(name)
    yield broker
    broker.close()


def copy(source: Any, target: Any) -> int:
    return sum(one.moved for one in Copy(source, target).run())


def copy_and_die(source: Any, target: ShardedBroker, number: int) -> None:
    """Die while the first batch is taken in, just before that is committed in this file."""
    take_in = target.take_in

    def dies(*given: Any) -> None:
        with dying_before_the_commit_of(target, number):
            take_in(*given)
        raise Died

    target.take_in = dies  # type: ignore[assignment]
    with suppress(Died):
        copy(source, target)
    target.take_in = take_in


def handled(broker: Any, queue: str = "work") -> list[str]:
    found: list[str] = []
    while some := broker.receive(queue, limit=10):
        broker.delete([Finish(one) for one in some])
        found += [one.id for one in some]
    return sorted(found)


def test_each_comes_to_the_file_in_which_it_would_lie_if_it_were_sent_there(
    broker: ShardedBroker, other: Any
) -> None:
    """So it is known again, shares its limit, and its letter goes back beside it."""
    other.send("work", [Message(id, "x") for id in IDS])
    other.set_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=9))
    broker.set_queue("work", other.settings("work"))
    bad = other.receive("work", limit=10)
    other.dead_letter([(one, "{}") for one in bad])
    done = other.receive("work", limit=10)
    other.delete([Finish(one, remember=600) for one in done])
    other.send("work", [Message(f"s{at}", "x", slot="one") for at in range(4)])
    (held,) = other.receive("work", limit=1)
    other.apply([Change(settlements=[GiveBack(held, "late")])])[0].or_raise()
    copy(other, broker)
    waiting = {*IDS} - {one.id for one in (*bad, *done)} | {f"s{at}" for at in range(4)}
    assert {one.id for one in broker.peek("work", 100)} == waiting
    for id in waiting:
        slot = "one" if id.startswith("s") else "late" if id == held.id else None
        broker.send("work", [Message(id, "again", slot=slot)])
    assert {one.body for one in broker.peek("work", 100)} == {"x"}
    for one in done:
        assert broker.shards[broker.course.placement.of_id(one.id)].broker.finished(
            "work", {(one.id, "")}
        )
    assert broker.redrive("work-dlq") == len(bad)
    broker.send("work", [Message(one.id, "again") for one in bad])
    assert broker.counts("work").visible == len(waiting) + len(bad)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("files", [2, 3, 1])
def test_whoever_dies_between_two_files_it_is_taken_in_once(
    broker: ShardedBroker, opened: Open, other: Any, number: int, files: int
) -> None:
    """Though workers have handled meanwhile what had come, and the files are others."""
    other.send("work", [Message(id, "x") for id in IDS])
    copy_and_die(other, broker, number)
    first = handled(opened())
    assert len(first) == (len(IDS) // 2 if number else 0), "one file after the other"
    opened().resharding.run(files)
    copy_and_die(other, broker, min(number, files - 1))
    copy(other, opened())
    assert sorted(first + handled(broker)) == sorted(IDS)
    assert other.peek("work", 100) == []


def test_what_a_plain_file_took_in_is_known_when_it_has_got_others(
    tmp_path: Path, other: Any, taskflow_clock: ManualClock
) -> None:
    address = f"sqlite:///{tmp_path}/plain.db"
    plain = open_broker(address, clock=taskflow_clock)
    other.send("work", [Message(id, "x") for id in IDS])
    let_go = other.let_go
    other.let_go = lambda *_: _die()
    with suppress(Died):
        Copy(other, plain).run()
    other.let_go = let_go
    assert handled(plain) == sorted(IDS)
    plain.close()
    grown = cast(
        ShardedBroker, open_address(address, create=False, lead=True, clock=taskflow_clock)
    )
    grown.resharding.run(3)
    copy(other, grown)
    assert (handled(grown), other.peek("work")) == ([], [])
    grown.close()


def _die() -> None:
    raise Died


def test_the_number_of_files_stays_while_messages_leave(
    broker: ShardedBroker, taskflow_clock: ManualClock, tmp_path: Path
) -> None:
    broker.send("work", [Message(id, "x") for id in IDS])
    assert len(broker.hand_out("b", "work", "to", 5).messages) == 5
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="end `taskflow copy` first, or wait an hour"):
        broker.resharding.run(3)
    assert sorted(tmp_path.iterdir()) == before
    taskflow_clock.advance(3600)
    broker.resharding.run(3)
    assert broker.batches() == []
    assert {one.id for one in broker.receive("work", limit=10)} <= {*IDS}
    assert broker.counts("work").visible == len(IDS) - 10


def test_a_batch_that_is_handed_out_in_the_middle_of_it_holds_it_up(
    broker: ShardedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.send("work", [Message(id, "x") for id in IDS])
    lot = None

    def tell(_: Any) -> None:
        nonlocal lot
        if broker.course.map.shards == 3 and lot is None:
            lot = broker.hand_out("b", "work", "to", 5)

    with pytest.raises(ConfigError, match="end `taskflow copy` first"):
        broker.resharding.run(3, tell)
    assert lot is not None
    assert {one.id for one in broker.hand_again("b")} == {one.id for one in lot.messages}
    broker.let_go("b", [one.number for one in lot.messages])
    broker.resharding.run(3)
    assert sorted(handled(broker)) == sorted({*IDS} - {one.id for one in lot.messages})
    assert broker.resharding.progress(3) == (PLACES, 3)


def test_who_hands_out_of_files_that_are_gone_is_at_the_end(broker: ShardedBroker) -> None:
    broker.send("work", [Message(id, "x") for id in IDS])
    places, place = [], broker.hand_out("b0", "work", "to", 15).place
    assert place is not None
    broker.let_go("b0", [])
    while place is not None:
        places.append(place)
        lot = broker.hand_out(f"b{len(places)}", "work", "to", 15, place)
        broker.let_go(f"b{len(places)}", [])
        place = lot.place
    assert [one.file for one in places] == sorted(one.file for one in places)
    broker.resharding.run(1)
    assert broker.hand_out("c", "work", "to", 5, places[-1]) == ([], None, 0, 0)


def test_what_is_finished_comes_in_order_and_once(
    broker: ShardedBroker, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PAGE", 3)
    assert isinstance(broker, Handover)
    broker.send("work", [Message(id, "x") for id in IDS])
    while some := broker.receive("work", limit=10):
        broker.delete([Finish(one, remember=600) for one in some])
    now = broker.clock.now()
    for number, until in ((0, now + 900), (1, now + 700)):
        broker.shards[number].broker.remember_finished("work", [(IDS[0], "", until)])  # type: ignore[list-item]
    copy(broker, other)
    assert other.finished("work", {(id, "") for id in IDS}) == {(id, "") for id in IDS}
    (first,) = [one for one in other.finished_after("work", ("", ""), 100) if one.id == IDS[0]]
    assert first.expires_at == now + 900
    page = broker.finished_after("work", ("", ""), 100)
    assert [one.id for one in page] == sorted(IDS)
