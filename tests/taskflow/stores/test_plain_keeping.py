"""The short way of a checkpoint stores what the general way stores, and knows what to decline."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.broker import QueueSettings
from taskflow.broker.change import Applied, Change, Put, Remove, Send
from taskflow.broker.prompt import WouldWait
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.apply import Applier
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.intake import HOUSEKEEPING
from taskflow.errors import BrokerUnavailable, LeaseLost, VersionConflict
from taskflow.message import Delivery, Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock


class Numbered(Random):
    """Answers the same within one change, however often it is asked."""

    number = 1

    def getrandbits(self, k: int) -> int:
        return self.number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << k)


class Made:
    """A broker whose clock stands still, and a message of each of three queues that is held; and
    what statements were run lately."""

    def __init__(self, path: Path | None = None, *, plain: bool = True) -> None:
        self.clock = ManualClock()
        self.store = SqliteStore(path, durable=path is not None)
        self.random = Numbered()
        self.broker = StoredBroker(self.store, clock=self.clock, random=self.random)
        applier = cast(Applier, cast(Any, self.broker.apply).__self__)
        assert applier._plain is not None
        if not plain:
            applier._plain = None
        self.held: dict[str, Delivery] = {}
        for queue in ("work", "other", "work.fifo"):
            self.broker.create_queue(queue, QueueSettings(visibility_timeout=30.0))
            self.lend(queue)
        self.said: list[str] = []
        self.listen()

    def listen(self) -> None:
        def note(cursor: object, sql: str, values: object) -> bool:
            self.said.append(sql)
            return True

        self.store._database.connection.exec_trace = note

    def lend(self, queue: str) -> None:
        """Send a message, and hold it."""
        self.random.number += 1
        message = Message(f"{queue}{self.random.number}", "x")
        if queue.endswith("fifo"):
            message = replace(message, group="g", deduplication_id="d")
        self.broker.send(queue, [message])
        (self.held[queue],) = self.broker.receive(queue)

    def apply(self, *changes: Change) -> list[Any]:
        self.said.clear()
        self.random.number += 1
        return [_shown(one) for one in self.broker.apply(changes)]

    def keep(self, *records: Put | Remove, queue: str = "work") -> Any:
        """Apply that alone."""
        (answer,) = self.apply(Change(fence=self.held[queue], records=records))
        return answer

    def warm(self) -> None:
        """The queue is known, and there is a run."""
        for number in range(2):
            self.keep(step(f"first{number}"))
        self.keep(Put(kind="run", key="r", value="{}", expected=0, state="waiting"))

    @property
    def short(self) -> list[str]:
        """What was run of the short way, with the transaction that it is a part of."""
        ours = ("INSERT INTO plain_", "BEGIN", "COMMIT")
        return [sql.partition(" VALUES")[0] for sql in self.said if sql.startswith(ours)]

    def rows(self) -> list[list[Any]]:
        """All there is of records, and of what is held."""
        execute = self.store._database.connection.execute
        return [
            list(execute("SELECT * FROM record ORDER BY number")),
            list(execute("SELECT queue, seq, visible_at, receipt FROM message ORDER BY seq")),
        ]

    def version(self, kind: str, key: str) -> int:
        return self.broker.records(kind, [key])[key].version


def _shown(answer: Applied) -> Any:
    refused = answer.refused
    return (*answer.versions, *answer.settled), refused and (type(refused), str(refused))


def step(key: str, **fields: Any) -> Put:
    return replace(Put(kind="step", key=key, value="1", expected=0, label="r"), **fields)


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made()
    made.warm()
    yield made
    made.broker.close()


# ---- the same ------------------------------------------------------------------------------------
texts = st.sampled_from([None, "a", "b", "", "x" * 512, "x" * 513, "é"])
names = st.sampled_from(["a", "b", "c", "d", "e", "", "x" * 513, "\ud800"])
news = st.builds(
    Put,
    kind=st.sampled_from(["step", "run", ""]),
    key=names,
    value=st.sampled_from(["1", "é", ""]),
    expected=st.sampled_from([0, 0, 0, 0, None, 1, -1, 2**63]),
    parent=texts,
    label=texts,
    state=st.sampled_from([None, None, None, "waiting"]),
    due_at=st.sampled_from([None, None, None, 5e9]),
    expires_at=st.sampled_from([None, None, None, 1.7e9, 5e9]),
    rings=st.sampled_from([False, False, True]),
)
Begun = Callable[[Made], Put | Remove]


def others() -> st.SearchStrategy[Begun]:
    """A record in place of one that is there, if it is."""

    def bind(put: Put, right: bool, run: bool) -> Begun:
        if run:
            put = replace(put, kind="run", key="r")

        def make(made: Made) -> Put | Remove:
            found = made.broker.records(put.kind, [put.key]) if put.key.isascii() else {}
            version = found[put.key].version if put.key in found else 7
            return replace(put, expected=version if right else version + 1)

        return make

    def remove(put: Put) -> Begun:
        return lambda made: Remove(put.kind, put.key)

    often = st.sampled_from([True, True, True, False])
    return st.builds(bind, news, often, often) | st.builds(remove, news)


def changes() -> st.SearchStrategy[Callable[[Made], Change]]:
    queues = st.sampled_from(["work", "work", "work", "other", "work.fifo", None])
    receipts = st.sampled_from([None, None, None, None, "", "7.7", "1.9999999"])

    def bind(
        queue: str | None, receipt: str | None, first: list[Put], more: list[Begun], much: str
    ) -> Callable[[Made], Change]:
        def make(made: Made) -> Change:
            fence = None if queue is None else made.held[queue]
            if fence is not None and receipt is not None:
                fence = dataclasses.replace(fence, receipt=receipt)
            change = Change(fence=fence, records=[*first, *(one(made) for one in more)])
            if much == "ends" and fence is not None:
                return replace(change, settlements=[Finish(fence)])
            return replace(change, sends=[Send("other", [])]) if much == "sends" else change

        return make

    much = st.sampled_from(["", "", "", "", "", "ends", "sends"])
    one = st.lists(news, min_size=1, max_size=1) | st.lists(news, max_size=3)
    return st.builds(bind, queues, receipts, one, st.lists(others(), max_size=1), much)


def _do(made: Made, what: tuple[str, Any]) -> Any:
    kind, given = what
    match kind:
        case "apply":
            return made.apply(*(make(made) for make in given))
        case "within":

            def work(rows: object) -> Any:
                answers = made.apply(*(make(made) for make in given[0]))
                if given[1]:
                    raise ZeroDivisionError
                return answers

            try:
                return made.store.transact(work)
            except ZeroDivisionError:
                return "undone"
        case "gathered":
            made.random.number += 1
            asked = [make(made) for make in given]
            try:
                outcomes, _ = made.broker.gathered([lambda: made.broker.apply(asked)])
            except WouldWait:
                return "would wait"
            ((answers, error),) = outcomes
            return type(error), answers and [_shown(one) for one in answers]
        case "later":
            return made.clock.advance(given)
        case "lend":
            return made.lend(given)
        case "anew":
            made.broker.delete_queue("other")
            made.broker.create_queue("other", QueueSettings(visibility_timeout=30.0))
            return made.lend("other")


some = st.lists(changes(), min_size=1, max_size=1) | st.lists(changes(), min_size=1, max_size=3)
deeds = st.lists(
    st.tuples(st.just("apply"), some)
    | st.tuples(st.just("apply"), some)
    | st.tuples(st.just("within"), st.tuples(some, st.booleans()))
    | st.tuples(st.just("gathered"), some)
    | st.tuples(st.just("later"), st.sampled_from([1.0, 40.0]))
    | st.tuples(st.just("lend"), st.sampled_from(["work", "other"]))
    | st.tuples(st.just("anew"), st.none()),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@given(deeds)
@settings(deadline=None)
def test_what_is_stored_and_answered_is_what_the_general_way_does(
    deeds: list[tuple[str, Any]],
) -> None:
    short, general = Made(), Made(plain=False)
    try:
        short.warm()
        general.warm()
        for what in deeds:
            assert _attempt(short, what) == _attempt(general, what)
            assert short.rows() == general.rows()
    finally:
        short.broker.close()
        general.broker.close()


def _attempt(made: Made, what: tuple[str, Any]) -> Any:
    try:
        return _do(made, what)
    except UnicodeEncodeError as error:
        return str(error)


# ---- which way -----------------------------------------------------------------------------------
def test_a_checkpoint_is_one_statement(made: Made) -> None:
    versions, refused = made.keep(step("a"))
    assert made.short == ["INSERT INTO plain_keep"]
    assert (refused, versions) == (None, (made.version("step", "a"),))


def test_the_first_one_says_that_the_run_has_begun_with_the_same_statement(made: Made) -> None:
    before = made.version("run", "r")
    begun = Put(kind="run", key="r", value='{"n":1}', expected=before, state="running")
    made.keep(step("a"), begun)
    assert made.short == ["INSERT INTO plain_begin"]
    record = made.broker.records("run", ["r"])["r"]
    assert (record.version, record.state, record.value) == (before + 1, "running", '{"n":1}')


@pytest.mark.parametrize("field", [{"due_at": 5e9}, {"expires_at": 5e9}, {"rings": True}])
def test_what_is_due_or_ends_or_wakes_somebody_goes_the_general_way(
    made: Made, field: dict[str, Any]
) -> None:
    begun = Put(kind="run", key="r", value="{}", expected=made.version("run", "r"))
    made.keep(step("a"), replace(begun, **field))
    assert made.short == ["BEGIN IMMEDIATE", "COMMIT"]
    record = made.broker.records("run", ["r"])["r"]
    assert (record.due_at, record.expires_at) == (field.get("due_at"), field.get("expires_at"))


def test_several_are_statements_of_one_transaction(made: Made) -> None:
    made.lend("other")
    made.keep(step("b"), queue="other")
    made.apply(
        Change(fence=made.held["work"], records=[step("c")]),
        Change(fence=made.held["other"], records=[step("d")]),
    )
    keep = "INSERT INTO plain_keep"
    assert made.short == ["BEGIN IMMEDIATE", keep, keep, "COMMIT"]


def test_one_that_is_refused_beside_others_is_refused_alone(made: Made) -> None:
    stale = dataclasses.replace(made.held["work"], receipt="5.99999999999")
    refused, kept = made.apply(
        Change(fence=stale, records=[step("c")]),
        Change(fence=made.held["work"], records=[step("d")]),
    )
    assert refused[1][0] is LeaseLost
    assert kept == ((made.version("step", "d"),), None)
    assert made.broker.records("step", ["c"]) == {}


def test_a_run_that_has_changed_refuses_all_of_it(made: Made) -> None:
    begun = Put(kind="run", key="r", value="{}", expected=made.version("run", "r") + 1)
    versions, refused = made.keep(step("a"), begun)
    assert (versions, refused[0]) == ((), VersionConflict)
    assert made.broker.records("step", ["a"]) == {}


def test_expired_records_go_as_they_do_the_general_way(made: Made) -> None:
    made.broker.apply([Change(records=[step("old", expires_at=made.clock.now() + 1)])])
    made.clock.advance(2)
    for number in range(HOUSEKEEPING):
        made.keep(step(f"s{number}"))
    execute = made.store._database.connection.execute
    assert execute("SELECT 1 FROM record WHERE key = 'old'").fetchall() == []


# ---- the file ------------------------------------------------------------------------------------
def test_it_is_on_disk_when_it_is_answered(tmp_path: Path) -> None:
    made = Made(tmp_path / "b.db")
    made.warm()
    disk = made.store._durability.disk
    assert disk is not None
    synced = disk._synced
    made.keep(step("a"))
    assert made.short == ["INSERT INTO plain_keep"]
    assert disk._synced == disk._commits > synced
    made.broker.close()


def test_another_file_knows_nothing_of_the_lease(tmp_path: Path) -> None:
    made = Made(tmp_path / "b.db")
    made.warm()
    for file in tmp_path.iterdir():
        if file.is_file():
            file.unlink()
    for _ in range(2):
        _, refused = made.keep(step("a"))
        assert refused is not None
    assert made.rows()[0] == []
    made.broker.create_queue("work")
    made.lend("work")
    made.listen()
    made.keep(step("b"))
    versions, _ = made.keep(step("c"))
    assert made.short == ["INSERT INTO plain_keep"]
    assert versions == (made.version("step", "c"),)
    made.broker.close()


def test_what_undoes_a_transaction_leaves_the_short_way_open(made: Made) -> None:
    def work(rows: object) -> None:
        made.keep(step("a"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        made.store.transact(work)
    assert made.broker.records("step", ["a"]) == {}
    made.keep(step("a"))
    assert made.short == ["INSERT INTO plain_keep"]


def test_a_broker_that_is_closed_says_so(made: Made) -> None:
    made.broker.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        made.keep(step("a"))
