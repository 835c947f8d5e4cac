"""Verbs of one round over several files: a transaction in each, and never two files at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.broker import Finish
from taskflow.broker.change import Change, Put
from taskflow.broker.prompt import PartlyUnsafe, WouldWait
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.errors import BrokerFileError, FileReplaced, LimitExceeded
from taskflow.message import Message
from taskflow.server.rounds import _unsynced
from taskflow.testing import ManualClock
from tests.taskflow.shards.dying import id_in


@pytest.fixture(autouse=True)
def at_home(broker: ShardedBroker) -> None:
    """Its homes are found, which is a change too."""
    broker.receive("work")


def send(broker: ShardedBroker, number: int, name: str) -> Callable[[], Any]:
    return partial(broker.send, "work", [Message(id_in(number, name), "x")])


def both(broker: ShardedBroker, name: str) -> Callable[[], Any]:
    """Messages of both files."""
    messages = [Message(id_in(number, name), "x") for number in (0, 1)]
    return partial(broker.send, "work", messages)


def held(broker: ShardedBroker) -> set[str]:
    return {one.id for one in broker.peek("work", 1000)}


def failing(broker: ShardedBroker, number: int) -> None:
    """The next commit of this file fails, as on a full disk."""
    writing: Any = broker.shards[number].store._writing
    execute = writing._execute

    def fails(sql: str, *given: Any) -> Any:
        if sql == "COMMIT":
            writing._execute = execute
            raise apsw.FullError("disk is full")
        return execute(sql, *given)

    writing._execute = fails


def test_verbs_of_one_file_are_one_transaction_and_no_two_files_are_held(
    broker: ShardedBroker, tmp_path: Path
) -> None:
    others = [apsw.Connection(f"{tmp_path}/broker.db{end}") for end in ("", ".shard1")]
    seen: list[tuple[bool, bool, int]] = []

    def look(sends: Callable[[], Any]) -> None:
        sends()
        free = []
        for other in others:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                free.append(True)
            except apsw.BusyError:
                free.append(False)
        rows = sum(one.execute("SELECT count(*) FROM message").get for one in others)
        seen.append((free[0], free[1], rows))

    order = [0, 0, 1, 1, 0]
    verbs = [partial(look, send(broker, number, f"a{at}")) for at, number in enumerate(order)]
    outcomes, _ = broker.gathered(verbs)
    assert outcomes == [(None, None)] * 5
    assert seen == [
        *((False, True, 0), (False, True, 0)),
        *((True, False, 2), (True, False, 2)),
        (False, True, 4),
    ]
    assert len(held(broker)) == 5
    for one in others:
        one.close()


def test_what_cannot_be_committed_is_said_of_its_verbs_alone(broker: ShardedBroker) -> None:
    failing(broker, 0)
    outcomes, _ = broker.gathered(
        [send(broker, 0, "a"), send(broker, 0, "b"), send(broker, 1, "c"), send(broker, 0, "d")]
    )
    assert [error is not None for _, error in outcomes] == [True, True, False, False]
    assert held(broker) == {id_in(1, "c"), id_in(0, "d")}


def failing_waits(broker: ShardedBroker, number: int, error: Exception) -> list[int]:
    """The waits for the disk of each file, of which this one's fails; those that were made."""
    made: list[int] = []

    def wait(at: int, *given: object) -> None:
        made.append(at)
        if at == number:
            raise error

    for at, shard in enumerate(broker.shards):
        store: Any = shard.store
        gathering = store.gathering

        def with_wait(patience: float | None, at: int = at, gathering: Any = gathering) -> Any:
            part = gathering(patience)
            part._settle = lambda durable: partial(wait, at)
            return part

        store.gathering = with_wait
    return made


@pytest.mark.parametrize("error", [FileReplaced("gone"), BrokerFileError("disk")])
def test_a_disk_that_fails_for_one_file_is_told_of_its_verbs_alone(
    broker: ShardedBroker, error: Exception
) -> None:
    made = failing_waits(broker, 0, error)
    looks = partial(broker.peek, "work")
    outcomes, wait = broker.gathered(
        [send(broker, 0, "a"), send(broker, 1, "b"), both(broker, "r"), looks]
    )
    assert [error for _, error in outcomes] == [None] * 4
    assert wait is not None
    with pytest.raises(PartlyUnsafe) as caught:
        wait()
    assert caught.value.errors == [error, None, error, error]
    assert made == [0, 1]
    told = _unsynced(outcomes, caught.value)
    assert [one for _, one in told] == [error, None, error, error]
    assert told[1] == outcomes[1]
    assert (told[0][0] is None) == isinstance(error, FileReplaced)


def test_a_lone_verb_is_told_the_error_itself(broker: ShardedBroker) -> None:
    error = BrokerFileError("disk")
    failing_waits(broker, 0, error)
    _, wait = broker.gathered([send(broker, 0, "a")])
    assert wait is not None
    with pytest.raises(BrokerFileError) as caught:
        wait()
    assert caught.value is error


@pytest.mark.parametrize("patience", [None, 1.0])
def test_a_verb_of_several_files_is_committed_after_it(
    broker: ShardedBroker, patience: float | None
) -> None:
    verbs = [send(broker, 0, "a"), both(broker, "r"), send(broker, 1, "b")]
    outcomes, _ = broker.gathered(verbs, patience)
    assert [error for _, error in outcomes] == [None] * 3
    assert len(held(broker)) == 4
    failing(broker, 1)  # the first to be committed
    outcomes, _ = broker.gathered(
        [send(broker, 0, "c"), both(broker, "s"), send(broker, 1, "d")], patience
    )
    assert [error is not None for _, error in outcomes] == [True, True, False]
    assert len(held(broker)) == 5
    assert id_in(1, "d") in held(broker)


@pytest.mark.parametrize("patience", [None, 1.0])
def test_a_change_of_several_files_is_made_by_itself(
    broker: ShardedBroker, patience: float | None
) -> None:
    """Since what the one owes the other is on disk before the other is changed."""
    records = [Put(kind="run", key=id_in(number), value="x") for number in (0, 1)]
    change = partial(broker.apply, [Change(records=records)])
    outcomes, _ = broker.gathered([send(broker, 0, "a"), change, send(broker, 1, "b")], patience)
    assert [type(error) for _, error in outcomes] == [type(None), WouldWait, type(None)]
    assert broker.records("run", [id_in(0), id_in(1)]) == {}
    assert len(held(broker)) == 2


def test_one_that_would_wait_has_done_nothing(broker: ShardedBroker) -> None:
    """Nor has what came before it in its files, which is to be repeated with it."""

    def twice() -> None:
        for name in ("b", "c"):
            broker.send("work", [Message(id_in(0, name), "x")])

    outcomes, _ = broker.gathered([send(broker, 0, "a"), twice, send(broker, 1, "d")])
    assert [type(error) for _, error in outcomes] == [WouldWait, WouldWait, type(None)]
    assert held(broker) == {id_in(1, "d")}


def test_a_receive_that_comes_to_a_locked_file_gives_back_what_it_took(
    broker: ShardedBroker, tmp_path: Path
) -> None:
    for number in (0, 1):
        broker.send("work", [Message(id_in(number), "x")])
    for end in ("", ".shard1"):
        other = apsw.Connection(f"{tmp_path}/broker.db{end}")
        other.execute("BEGIN IMMEDIATE")
        ((_, error),), _ = broker.gathered([partial(broker.receive, "work", limit=10)])
        other.execute("ROLLBACK")
        other.close()
        assert isinstance(error, WouldWait)
        assert broker.counts("work").visible == 2


def test_an_error_undoes_its_verb_and_no_other(broker: ShardedBroker) -> None:
    bad = partial(broker.send, "work", [Message(id_in(0, "bad"), "x", delay=1e9)])
    outcomes, _ = broker.gathered([send(broker, 0, "a"), bad, send(broker, 0, "b")])
    assert [type(error) for _, error in outcomes] == [type(None), LimitExceeded, type(None)]
    assert held(broker) == {id_in(0, "a"), id_in(0, "b")}


def test_a_file_that_is_locked_holds_up_its_verbs_alone(
    broker: ShardedBroker, tmp_path: Path
) -> None:
    other = apsw.Connection(f"{tmp_path}/broker.db")
    other.execute("BEGIN IMMEDIATE")
    outcomes, _ = broker.gathered(
        [send(broker, 1, "a"), send(broker, 0, "b"), send(broker, 1, "c")]
    )
    other.execute("ROLLBACK")
    other.close()
    assert [type(error) for _, error in outcomes] == [type(None), WouldWait, type(None)]
    assert held(broker) == {id_in(1, "a"), id_in(1, "c")}


def test_what_sqlite_has_undone_by_itself_is_said_of_its_verbs(broker: ShardedBroker) -> None:
    def fail() -> None:
        store: Any = broker.shards[0].store
        store.transact(lambda rows: store._database.connection.execute("ROLLBACK"))

    outcomes, _ = broker.gathered(
        [send(broker, 1, "a"), send(broker, 0, "b"), fail, send(broker, 0, "c")]
    )
    assert [error is not None for _, error in outcomes] == [False, True, True, False]
    assert held(broker) == {id_in(1, "a"), id_in(0, "c")}
    broker.gathered([send(broker, 0, "d")])
    assert len(held(broker)) == 3


def test_it_is_heard_once_and_when_others_can_see_it(
    broker: ShardedBroker, taskflow_clock: ManualClock
) -> None:
    heard: list[tuple[list[str], int]] = []
    broker.watch(lambda queues: heard.append((sorted(queues), len(held(broker)))))
    broker.gathered([send(broker, 0, "a"), send(broker, 1, "b"), send(broker, 0, "c")])
    assert heard == [(["work"], 3)]
    lent = broker.receive("work", limit=10)
    assert broker.delete([Finish(one) for one in lent]) == [True] * 3


@pytest.mark.parametrize("end", ["an error", "a wait"])
def test_a_look_at_what_is_not_committed_after_all_is_not_answered(
    broker: ShardedBroker, end: str
) -> None:
    def twice() -> None:
        for name in ("b", "c"):
            broker.send("work", [Message(id_in(0, name), "x")])

    verbs: list[Callable[[], Any]] = [send(broker, 0, "a"), partial(broker.peek, "work", 10)]
    if end == "an error":
        failing(broker, 0)
    else:
        verbs.append(twice)
    outcomes, _ = broker.gathered(verbs)
    assert [error is not None for _, error in outcomes] == [True] * len(verbs)
    assert held(broker) == set()


def test_an_interrupt_leaves_no_file_locked(broker: ShardedBroker) -> None:
    """What was committed before it stays."""

    def interrupted() -> None:
        broker.send("work", [Message(id_in(1, "b"), "x")])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broker.gathered([send(broker, 0, "a"), interrupted, send(broker, 0, "c")])
    with ThreadPoolExecutor(1) as apart:
        assert apart.submit(held, broker).result(10) == {id_in(0, "a")}
        apart.submit(send(broker, 1, "d")).result(10)
    assert held(broker) == {id_in(0, "a"), id_in(1, "d")}
