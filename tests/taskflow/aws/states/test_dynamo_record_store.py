"""Records in DynamoDB: changes larger than its transactions, long values, and what it answers."""

# moto has no types.
# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any
from zlib import crc32

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from taskflow.broker.change import Add, Applied, Change, Put, Remove, Take
from taskflow.broker.record import RecordQuery
from taskflow.brokers.aws import dynamo_table, dynamo_values, dynamo_writes
from taskflow.brokers.aws.client import Api, ConditionFailed
from taskflow.brokers.aws.dynamo_attempts import PATIENCE
from taskflow.brokers.aws.dynamo_record_store import DynamoRecordStore
from taskflow.brokers.aws.dynamo_table import DynamoTable
from taskflow.brokers.aws.remote_state import RemoteState
from taskflow.coordination.record_store import Contended
from taskflow.errors import BrokerUnavailable, LimitExceeded, VersionConflict
from tests.taskflow.aws.states.places import make_table, rights_of_the_page
from tests.taskflow.aws.states.test_races import Hurried

MOST = 4  # writes of one transaction, here
ALL = RecordQuery(kind="run", order="oldest")


@pytest.fixture(scope="module")
def api(moto: str) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "TF1")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        api = Api("us-east-1", moto)
        client = api.client("dynamodb")
    yield api
    client.close()


@pytest.fixture
def name(api: Api, request: pytest.FixtureRequest) -> str:
    """A table of this test's own."""
    name = f"d{crc32(request.node.nodeid.encode())}"
    make_table(api, name)
    return name


@pytest.fixture
def clock() -> Hurried:
    return Hurried(1000.0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a transaction take four writes, where it would take a hundred."""
    monkeypatch.setattr(dynamo_writes, "MOST_WRITES", MOST)


@pytest.fixture
def hosts(api: Api, name: str, clock: Hurried, small: None) -> Sequence[RemoteState]:
    return [
        RemoteState(DynamoRecordStore(api, name, clock, Random(n)), clock, Random(n))
        for n in range(2)
    ]


def table_of(state: RemoteState) -> DynamoTable:
    store = state._store
    assert isinstance(store, DynamoRecordStore)
    return store._table


def items(api: Api, name: str) -> list[tuple[str, str]]:
    """The keys of all there is in a table."""
    found = api.client("dynamodb").scan(TableName=name, ConsistentRead=True)["Items"]
    return sorted((one["pk"]["S"], one["sk"]["S"]) for one in found)


def plan(count: int, value: str = "") -> Change:
    records = [
        Put(kind="run", key=str(n), value=value, state="waiting", expected=0) for n in range(count)
    ]
    return Change(records=records, counters=[Add("run", "0", count - 1)], keys=[Take("k", "me")])


def make(state: RemoteState, change: Change) -> Applied:
    (answer,) = state.apply([change])
    return answer.or_raise()


def dying(
    state: RemoteState, monkeypatch: pytest.MonkeyPatch, after: int, *, at_all: bool = True
) -> None:
    """Have the process die after so many transactions: nothing it does after that happens."""
    table, write, made = table_of(state), table_of(state).write, list[Any]()

    def die(writes: Any) -> None:
        if len(made) == after:
            raise BrokerUnavailable("it died")
        made.append(writes)
        write(writes)

    def nothing(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("it is dead")

    monkeypatch.setattr(table, "write", die)
    if at_all:
        monkeypatch.setattr(table, "put", nothing)


# ---- large changes ------------------------------------------------------------------------------
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.slow
def test_nobody_sees_part_of_a_plan_whose_maker_died(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch, clock: Hurried, after: int
) -> None:
    one, other = hosts
    with monkeypatch.context() as patch:
        dying(one, patch, after)
        with pytest.raises(BrokerUnavailable, match="it died"):
            make(one, plan(7))
    assert other.records("run", list("0123456")) == {}
    assert (other.list_records(ALL).records, other.count_records("run")) == ([], {})
    assert other.holders(["k"]) == {}
    clock.advance(PATIENCE)
    assert make(other, plan(7)).counts == [6]
    assert [record.key for record in one.list_records(ALL).records] == list("0123456")


@pytest.mark.slow
def test_a_plan_that_may_be_being_made_still_is_left_to_its_maker(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch, clock: Hurried
) -> None:
    one, other = hosts
    with monkeypatch.context() as patch:
        dying(one, patch, 1)
        with pytest.raises(BrokerUnavailable):
            make(one, plan(7))
    clock.advance(PATIENCE - 1)
    with pytest.raises(BrokerUnavailable, match="run '0' met another's 12 times"):
        make(other, plan(7))
    clock.advance(1)
    make(other, plan(7))


def test_who_failed_and_lives_leaves_nothing_in_the_way(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = hosts
    with monkeypatch.context() as patch:
        dying(one, patch, 1, at_all=False)
        with pytest.raises(BrokerUnavailable):
            make(one, plan(7))
    make(other, plan(7))


def test_a_maker_that_was_given_up_makes_nothing_any_more(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch, clock: Hurried
) -> None:
    """It stood still for a minute before its last transaction; meanwhile another made the plan."""
    one, other = hosts
    table, write, made = table_of(one), table_of(one).write, list[Any]()

    def slow(writes: Any) -> None:
        if len(made) == 2:
            clock.advance(PATIENCE)
            make(other, bare("other"))
        made.append(writes)
        write(writes)

    def bare(value: str) -> Change:
        return replace(plan(7, value), keys=())  # nothing else is in the way

    monkeypatch.setattr(table, "write", slow)
    (answer,) = one.apply([bare("one")])
    assert isinstance(answer.refused, VersionConflict)
    assert {record.value for record in one.list_records(ALL).records} == {"other"}
    assert other.records("run", ["0"])["0"].count == 6


@pytest.mark.slow
def test_two_that_make_one_plan_at_once_make_one(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins between two transactions of the first, and waits for it."""
    one, other = hosts
    table, write, made = table_of(one), table_of(one).write, list[Any]()
    late: list[BrokerUnavailable] = []

    def meanwhile(writes: Any) -> None:
        made.append(writes)
        write(writes)
        if len(made) == 1:
            with pytest.raises(BrokerUnavailable, match="met another's") as met:
                make(other, plan(7, "other"))
            late.append(met.value)

    monkeypatch.setattr(table, "write", meanwhile)
    assert make(one, plan(7, "one")).counts == [6]
    assert late
    with pytest.raises(VersionConflict):
        make(other, plan(7, "other"))
    assert {record.value for record in other.list_records(ALL).records} == {"one"}


def test_a_run_of_a_plan_is_changed_as_any_other(hosts: Sequence[RemoteState]) -> None:
    one, other = hosts
    first = make(one, plan(7)).versions
    put = Put(kind="run", key="3", value="b", state="x", expected=first[3])
    assert make(other, Change(records=[put])).versions == [first[3] + 1]
    assert make(other, Change(counters=[Add("run", "0", -2)])).counts == [4]
    assert (one.records("run", ["3"])["3"].value, one.count_records("run")) == (
        "b",
        {"x": 1, "waiting": 6},
    )
    make(other, Change(records=[Remove("run", "4")]))
    assert make(one, Change(records=[Put(kind="run", key="4", value="", expected=0)]))


@pytest.mark.slow
def test_a_sweep_that_dies_is_ended_by_who_makes_it_again(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = hosts
    make(one, plan(9))
    sweep = Change(id="s", records=[Remove("run", str(n)) for n in range(9)])
    with monkeypatch.context() as patch:
        dying(one, patch, 1)
        with pytest.raises(BrokerUnavailable):
            make(one, sweep)
    left = [record.key for record in other.list_records(ALL).records]
    assert left == list("45678"), "the last go last"
    assert not make(other, sweep).repeated
    assert other.list_records(ALL).records == []
    assert make(one, sweep).repeated


def test_what_must_happen_at_once_has_a_limit(hosts: Sequence[RemoteState]) -> None:
    one, _ = hosts
    make(one, plan(9))
    with pytest.raises(LimitExceeded, match="takes and frees 5 things at once; DynamoDB takes 3"):
        make(one, Change(counters=[Add("run", str(n), 1) for n in range(5)]))
    assert {record.count for record in one.list_records(ALL).records} == {0, 8}


def test_a_large_change_with_long_values_is_cut_by_size(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = hosts
    monkeypatch.setattr(dynamo_writes, "MOST_WRITES", 100)
    monkeypatch.setattr(dynamo_writes, "MOST_BYTES", 5000)
    sizes = list[int]()
    table, write = table_of(one), table_of(one).write

    def weigh(writes: Any) -> None:
        sizes.append(len(writes))
        write(writes)

    monkeypatch.setattr(table, "write", weigh)
    make(one, plan(5, "x" * 2000))
    assert sizes == [2, 2, 1, 2]
    assert len(other.list_records(ALL).records) == 5


# ---- long values --------------------------------------------------------------------------------
@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values of more than ten bytes lie beside their records, in parts of eight."""
    monkeypatch.setattr(dynamo_values, "INLINE", 10)
    monkeypatch.setattr(dynamo_values, "PART", 8)


def test_a_long_value_leaves_nothing_behind(
    hosts: Sequence[RemoteState], tiny: None, api: Api, name: str
) -> None:
    one, other = hosts
    for value in ("a" * 30, "☃" * 7, "short", "b" * 11, "b" * 11):
        make(one, Change(records=[Put(kind="run", key="1", value=value)]))
        make(other, Change(counters=[Add("run", "1", 1)]))
        assert other.records("run", ["1"])["1"].value == value
    assert len(items(api, name)) == 3
    make(one, Change(records=[Remove("run", "1")]))
    assert items(api, name) == []


def test_a_long_value_that_was_refused_leaves_nothing_behind(
    hosts: Sequence[RemoteState], tiny: None, api: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = hosts
    table, write, made = table_of(one), table_of(one).write, list[Any]()

    def late(writes: Any) -> None:
        made.append(writes)
        if len(made) == 1:
            make(other, Change(records=[Put(kind="run", key="1", value="other")]))
        write(writes)

    monkeypatch.setattr(table, "write", late)
    with pytest.raises(VersionConflict):
        make(one, Change(records=[Put(kind="run", key="1", value="x" * 30, expected=0)]))
    assert items(api, name) == [("1", "record#run")]


def test_a_long_value_that_is_replaced_while_it_is_read_is_read_anew(
    hosts: Sequence[RemoteState], tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = hosts
    make(one, Change(records=[Put(kind="run", key="1", value="a" * 30)]))
    table, get, asked = table_of(one), table_of(one).get, list[Any]()

    def meanwhile(keys: Any) -> Any:
        asked.append(keys)
        if len(asked) == 2:  # the record was read, its value was not
            make(other, Change(records=[Put(kind="run", key="1", value="b" * 30)]))
        return get(keys)

    monkeypatch.setattr(table, "get", meanwhile)
    found = one.records("run", ["1"])["1"]
    assert (found.value, found.version) == (
        "b" * 30,
        other.records("run", ["1"])["1"].version,
    )


def test_a_long_value_that_is_replaced_all_the_time_is_an_error(
    hosts: Sequence[RemoteState], tiny: None, api: Api, name: str
) -> None:
    one, _ = hosts
    make(one, Change(records=[Put(kind="run", key="1", value="a" * 30)]))
    (part, *_) = [key for key in items(api, name) if key[1].startswith("value#")]
    table_of(one).delete(part)
    with pytest.raises(BrokerUnavailable, match="was replaced 5 times while it was read"):
        one.records("run", ["1"])


# ---- lists --------------------------------------------------------------------------------------
def test_what_an_index_says_is_looked_up(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lags: what it says of a record that is another by now, or is gone, is not told."""
    one, other = hosts
    for n in range(4):
        put = Put(kind="run", key=str(n), value="", label="a", state="x", due_at=float(n))
        make(one, Change(records=[put]))
    table, query = table_of(one), table_of(one).query

    def lag(*asked: Any, **more: Any) -> Iterator[Any]:
        for page in list(query(*asked, **more)):
            make(other, Change(records=[Remove("run", "1")]))
            put = Put(kind="run", key="2", value="", label="a", state="y", due_at=9.0)
            make(other, Change(records=[put]))
            yield page

    monkeypatch.setattr(table, "query", lag)
    state = RecordQuery(kind="run", order="oldest", label="a", states=["x"])
    assert [record.key for record in one.list_records(state).records] == ["0", "3"]
    monkeypatch.undo()
    due = RecordQuery(kind="run", order="due")
    assert [record.key for record in one.list_records(due).records] == ["0", "3", "2"]


def test_many_pages_of_an_index_are_one_page(
    api: Api, hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = hosts
    for n in range(9):
        state, parent = ("x" if n % 3 else "y"), "p"
        make(
            one, Change(records=[Put(kind="run", key=str(n), value="", state=state, parent=parent)])
        )
    query = table_of(one).query
    monkeypatch.setattr(table_of(one), "query", lambda index, _, **asked: query(index, 2, **asked))
    monkeypatch.setattr(dynamo_table, "READ", 2)
    for asked in (ALL, RecordQuery(kind="run", order="oldest", parent="p")):
        assert [record.key for record in one.list_records(asked).records] == list("012345678")
    some = RecordQuery(kind="run", order="oldest", states=["y"], limit=2)
    page = one.list_records(some)
    assert [record.key for record in page.records] == ["0", "3"]
    assert one.count_records("run") == {"x": 6, "y": 3}


# ---- what DynamoDB answers ----------------------------------------------------------------------
def test_a_table_that_is_not_there_is_named(api: Api, clock: Hurried) -> None:
    store = DynamoRecordStore(api, "nowhere", clock, Random(7))
    with pytest.raises(LimitExceeded, match="on 'nowhere'"):
        RemoteState(store, clock, Random(7)).records("run", ["1"])


@pytest.mark.parametrize(
    ("code", "reasons", "error"),
    [
        ("TransactionCanceledException", ["None", "ConditionalCheckFailed"], ConditionFailed),
        ("TransactionCanceledException", ["TransactionConflict", "None"], ConditionFailed),
        ("TransactionInProgressException", [], ConditionFailed),
        ("TransactionConflictException", [], ConditionFailed),
        ("TransactionCanceledException", ["None", "ThrottlingError"], BrokerUnavailable),
        ("TransactionCanceledException", ["ProvisionedThroughputExceeded"], BrokerUnavailable),
        ("TransactionCanceledException", ["ValidationError", "None"], LimitExceeded),
    ],
)
def test_a_transaction_that_was_cancelled_says_why(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reasons: list[str],
    error: type[Exception],
) -> None:
    def cancel(**_: Any) -> None:
        raise ClientError(
            {
                "Error": {"Code": code, "Message": "cancelled"},
                "ResponseMetadata": {"HTTPStatusCode": 400},
                "CancellationReasons": [{"Code": one} for one in reasons],
            },
            "TransactWriteItems",
        )

    monkeypatch.setattr(api.client("dynamodb"), "transact_write_items", cancel)
    with pytest.raises(error):
        DynamoTable(api, "t").write([{"Put": {"Item": {}}}] * 2)


def test_a_conflict_of_transactions_is_tried_again(
    hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = hosts
    table, write, made = table_of(one), table_of(one).write, list[Any]()

    def crowded(writes: Any) -> None:
        made.append(writes)
        if len(made) < 4:
            raise ConditionFailed({})
        write(writes)

    monkeypatch.setattr(table, "write", crowded)
    make(one, Change(records=[Put(kind="run", key="1", value="a")]))
    assert len(made) == 4


def test_reads_that_dynamodb_leaves_undone_are_an_error(
    api: Api, hosts: Sequence[RemoteState], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, RequestItems: Any) -> Any:
        return {"UnprocessedKeys": RequestItems}

    make(hosts[0], Change(records=[Put(kind="run", key="1", value="a")]))
    call, asked = api.call, list[Any]()

    def answer_some(service: Any, method: str, *named: str, **params: Any) -> Any:
        """Twice nothing, then one item of many."""
        asked.append(method)
        if len(asked) < 3:
            return leave(RequestItems=params["RequestItems"])
        ((table, wanted),) = params["RequestItems"].items()
        (first, *rest) = wanted["Keys"]
        params["RequestItems"] = {table: {**wanted, "Keys": [first]}}
        answer = call(service, method, *named, **params)
        if rest:
            answer["UnprocessedKeys"] = {table: {**wanted, "Keys": rest}}
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(api, "call", answer_some)
        assert set(hosts[0].records("run", list("1234"))) == {"1"}
    assert len(asked) == 6
    monkeypatch.setattr(api, "call", leave)
    with pytest.raises(BrokerUnavailable, match="undone 5 times: its throughput is too low"):
        hosts[0].records("run", ["1"])


@pytest.mark.slow
def test_the_page_names_the_rights_that_it_takes(
    api: Api, hosts: Sequence[RemoteState], tiny: None, name: str
) -> None:
    asked: set[str] = set()
    api.watch_requests(lambda _, operation: asked.add(operation))
    make(hosts[0], plan(7, "a" * 30))
    make(hosts[0], Change(records=[Put(kind="run", key="1", value="a")]))
    make(hosts[0], Change(records=[Remove("run", "1")]))
    make(hosts[1], Change(keys=[Take("other", "me")]))
    assert len(hosts[0].list_records(ALL).records) == 6
    hosts[0].count_records("run")
    asked -= {"TransactWriteItems"}  # needs the rights to what is in it
    assert {f"dynamodb:{one}" for one in asked} == rights_of_the_page()


def test_what_another_has_made_is_not_given_up(api: Api, name: str, clock: Hurried) -> None:
    store = DynamoRecordStore(api, name, clock, Random(7))
    attempts, table = store._attempts, store._table
    id = attempts.begin()
    table.write([attempts.finish(id)])
    attempts.give_up(id)
    assert attempts.done([id]) == {id}
    clock.advance(PATIENCE)
    with pytest.raises(Contended):
        attempts.end(id)
    ended = attempts.begin()
    clock.advance(PATIENCE)
    attempts.end(ended)
    attempts.end(ended)
    assert attempts.done([ended]) == set()
    with pytest.raises(ConditionFailed):
        table.write([attempts.finish(ended)])


def test_what_is_dropped_by_itself_says_when(
    api: Api, name: str, hosts: Sequence[RemoteState]
) -> None:
    put = Put(kind="run", key="1", value="", expires_at=1010.5)
    change = Change(id="c", remembered=20, records=[put], keys=[Take("k", "me", 1030.0)])
    make(hosts[0], change)
    found = api.client("dynamodb").scan(TableName=name)["Items"]
    assert {one["pk"]["S"]: one["until"]["N"] for one in found} == {
        "1": "1011",
        "c": "1020",
        "k": "1030",
    }
    assert hosts[0]._store.expire(2000.0, 10) == 0


@pytest.mark.parametrize(
    "item",
    [
        {"sk": {"S": "record#run"}, "value": {"S": ""}, "kind": {"S": "run"}},
        {"sk": {"S": "record#run"}, "value": {"S": ""}, "number": {"N": "1.5"}},
        {"sk": {"S": "key"}, "holder": {"N": "1"}},
        {"sk": {"S": "change"}},
    ],
)
def test_what_is_not_ours_is_not_taken_for_a_record(
    api: Api, name: str, hosts: Sequence[RemoteState], item: dict[str, Any]
) -> None:
    api.client("dynamodb").put_item(TableName=name, Item={"pk": {"S": "1"}, **item})
    with pytest.raises(BrokerUnavailable, match=r"the item \('1', '.*'\) is not ours: KeyError"):
        make(hosts[0], Change(id="1", keys=[Take("1", "me")], records=[Remove("run", "1")]))
