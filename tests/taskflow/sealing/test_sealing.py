"""What a codec seals is nowhere to be read at rest, and everywhere it was before."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine

from taskflow import (
    Event,
    Registry,
    Run,
    SystemClock,
    Worker,
    chain,
    outbox,
    publish,
    schedules,
    task,
    workflow,
)
from taskflow.broker import Broker
from taskflow.broker.message_query import MessageQuery
from taskflow.cli import main
from taskflow.config import open_broker
from taskflow.errors import (
    ConfigError,
    DecodeError,
    PayloadSealed,
    RegistrationError,
    RunFailed,
    SealFailed,
)
from taskflow.message import FAILURE, Message
from taskflow.publisher import using
from taskflow.registry import default_registry
from taskflow.scheduling.stored import SCHEDULE
from taskflow.sealing.codec import read_codec
from taskflow.sealing.sealed_broker import SealedBroker, sealed
from taskflow.sealing.sealed_fields import RECORDS
from taskflow.tasks.durable import SIGNAL, STEP
from taskflow.tasks.progress import PROGRESS
from taskflow.tasks.result import Result
from taskflow.tasks.run import RUN
from taskflow.testing import ManualClock, Sim, drain
from taskflow.wire.resending import edited
from taskflow.workflows.tree import tree_of

SECRET = "4242-4242"
KEY = b"\x00key one:"


def seal(data: bytes, key: bytes = KEY) -> bytes:
    """No cipher, but nobody sees it."""
    return key + bytes(255 - one for one in data)


def unseal(data: bytes, key: bytes = KEY) -> bytes:
    """As ciphers do, it refuses what it has not sealed."""
    if not data.startswith(key):
        raise ValueError(f"not sealed by {key!r}")
    return bytes(255 - one for one in data.removeprefix(key))


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that seals, as the default one does meanwhile."""
    default_registry.codec = (seal, unseal)
    yield Registry(codec=(seal, unseal))
    default_registry.codec = None


@pytest.fixture
def broker(tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Broker]:
    with (
        closing(
            open_broker(
                f"sqlite:///{tmp_path / 'shop.db'}?durability=process", clock=taskflow_clock
            )
        ) as broker,
        using(broker),
    ):
        yield broker


def at_rest(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_kinds_of_records_are_those_that_there_are() -> None:
    assert set(RECORDS) == {RUN, STEP, SIGNAL, PROGRESS, SCHEDULE}


def test_a_workflow_and_what_it_calls_leave_no_plain_text(
    registry: Registry, broker: Broker, tmp_path: Path
) -> None:
    heard: list[Any] = []

    @task(registry=registry, queue="work", retries=0, result="1d", name="charge")
    def charge(card: str, ctx: Any = None) -> str:
        return f"charged {card}"

    @task(registry=registry, queue="work", retries=0, result="1d", name="decline")
    def decline(card: str) -> None:
        raise ValueError(f"declined {card}")

    @task(registry=registry, queue="work", retries=0, name="refuse")
    def refuse(card: str) -> None:
        from taskflow.errors import Reject

        raise Reject(f"never {card}")

    @workflow(registry=registry, queue="flows", name="buy")
    def buy(ctx: Run, card: str) -> list[Any]:
        first = ctx.step(str.upper, card)
        try:
            ctx.step(decline.function, card)
        except Exception as error:
            heard.append(str(error))
        told = ctx.wait("approved")
        refuse.delay(card)
        publish("bought", {"card": card})
        return [first, told, ctx.map(charge, [card]), ctx.call(charge, card)]

    @registry.subscribe("bought", queue="events", retries=0)
    def bought(event: Event[dict[str, str]]) -> None:
        heard.append(event.payload)
        raise RuntimeError(f"no mail to {SECRET}")

    worker = Worker(broker, registry=registry)
    run = buy.delay(SECRET)
    failed = decline.delay(SECRET)
    plan = chain(charge.s(SECRET), charge.s()).delay(on_error=charge.s(SECRET))
    schedules.put("nightly", every="1d", task=charge, args=[SECRET])
    worker.drain()
    assert run.signal("approved", {"by": SECRET})
    worker.drain()

    charged = f"charged {SECRET}"
    assert run.get(0) == [SECRET, {"by": SECRET}, [charged], charged]
    assert heard.count({"card": SECRET}) == 1
    assert SECRET in heard[0]
    with pytest.raises(RunFailed, match=SECRET):
        failed.get(0)
    assert plan.get(0) == f"charged {charged}"
    letters = [*broker.peek("work-dlq"), *broker.peek("events-dlq")]
    assert len(letters) == 3
    opened = sealed(broker, registry.codec).peek("events-dlq")[0]
    assert SECRET in str(opened.attributes[FAILURE])
    assert json.loads(str(letters[-1].attributes[FAILURE]))["reason"] == "failed 1 times"

    assert b"bought" in at_rest(tmp_path)
    for written in (SECRET, SECRET.replace("-", "")):
        assert written.encode() not in at_rest(tmp_path)

    shown = CliRunner().invoke
    address = ["--broker", f"sqlite:///{tmp_path / 'shop.db'}"]
    default_registry.codec = None
    for command in (
        ["result", run.id],
        ["result", failed.id, "--json"],
        ["workflow", "show", run.id, "--bodies"],
        ["dlq", "show", "events"],
        ["dlq", "list", "work"],
        ["peek", "events-dlq", "--json"],
    ):
        told = shown(main, [*command, *address])
        assert told.exit_code == 0, told.output
        assert "sealed" in told.output
        assert "taskflow.sealed" not in told.output
    with pytest.raises(PayloadSealed, match="codec="):
        Result(run.id, broker=broker).get(0)
    with pytest.raises(RunFailed, match="sealed"):
        Result(failed.id, broker=broker).get(0)
    assert {"sealed"} >= {one.result for one in tree_of(broker, run.id).steps if one.result}


def test_old_messages_are_read_and_keys_are_changed(registry: Registry, broker: Broker) -> None:
    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))
    Worker(broker, registry=registry)
    default_registry.codec = None
    publish("made", {"plain": 1})
    default_registry.codec = (None, unseal)  # reads already, and does not seal yet
    publish("made", {"plain": 2})
    default_registry.codec = (seal, unseal)
    publish("made", {"one": 1})
    new = b"key two:"

    def either(data: bytes) -> bytes:
        return unseal(data, new if data.startswith(new) else KEY)

    default_registry.codec = registry.codec = (lambda data: seal(data, new), either)
    publish("made", {"two": 2})
    drain(broker, registry)
    assert heard == [{"plain": 1}, {"plain": 2}, {"one": 1}, {"two": 2}]


@pytest.mark.parametrize("codec", [None, (seal, lambda data: unseal(data, b"another"))])
def test_what_does_not_open_is_dead_lettered_and_goes_back(
    codec: Any, registry: Registry, broker: Broker
) -> None:
    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))

    @task(registry=registry, queue="tasks", name="pay", result="1d")
    def pay(card: str) -> None:
        heard.append(card)

    Worker(broker, registry=registry)
    publish("made", {"card": SECRET})
    run = pay.delay(SECRET)
    pay.options(result=None).delay(SECRET)
    registry.codec = codec
    drain(broker, registry, raise_errors=False)
    assert heard == []
    letters = [*broker.peek("work-dlq"), *broker.peek("tasks-dlq")]
    assert len(letters) == 3
    for letter in letters:
        record = json.loads(str(letter.attributes[FAILURE]))
        assert record["reason"].startswith("it is sealed, and this process does not open it")
        assert SECRET not in str(record)
        assert "key one" not in str(record)
    registry.codec = (seal, unseal)
    assert broker.redrive("work-dlq") + broker.redrive("tasks-dlq") == 3
    drain(broker, registry)
    assert sorted(heard, key=str) == [SECRET, SECRET, {"card": SECRET}]
    assert run.state == "done"


def test_letters_are_found_lent_and_sent_anew_sealed(
    registry: Registry, broker: Broker, tmp_path: Path
) -> None:
    @registry.subscribe("made", queue="work", retries=0)
    def handle(payload: dict[str, str]) -> None:
        if payload["card"] == SECRET:
            raise ValueError(f"no {payload['card']}")

    Worker(broker, registry=registry)
    made = publish("made", {"card": SECRET})
    drain(broker, registry, raise_errors=False)
    through = sealed(broker, registry.codec)
    (cause,) = through.causes()  # what it is counted by is not sealed, and quotes nothing
    assert (cause.error, str(cause.place).endswith(" in handle")) == ("ValueError", True)
    assert SECRET not in repr(cause)
    (found,) = through.find(MessageQuery(causes=[cause.id])).messages
    assert SECRET in found.delivery.body
    assert SECRET not in broker.find(MessageQuery(ids=[made])).messages[0].delivery.body
    assert through.find(MessageQuery(text=SECRET)).messages == []  # nobody reads it at rest
    lent = through.lend("work-dlq", made, 5)
    assert SECRET in lent.body
    through.change_visibility([(lent, 0)])
    through.resend("work-dlq", made, edited(lent, "again", body=lent.body.replace("4242-", "77-")))
    assert "77-4242" in through.peek("work")[0].body
    assert b"77-4242" not in at_rest(tmp_path)
    drain(broker, registry)


def test_filters_look_at_attributes_and_not_into_what_is_sealed(
    registry: Registry, broker: Broker
) -> None:
    heard: list[Any] = []
    take = registry.subscribe("made", queue="large", filter={"size": ["large"]})
    take(lambda payload: heard.append(payload))
    by_type = {"type": ["made"]}
    registry.subscribe("made", queue="all", filter=by_type, filter_scope="MessageBody")(
        lambda payload: heard.append("all")
    )
    Worker(broker, registry=registry)
    publish("made", 1, attributes={"size": "large"})
    publish("made", 2, attributes={"size": "small"})
    drain(broker, registry)
    assert sorted(map(str, heard)) == ["1", "all", "all"]
    policy = {"$or": [{"data": {"size": ["large"]}}, {"type": ["made"]}]}
    registry.subscribe("made", queue="body", filter=policy, filter_scope="MessageBody")(
        lambda payload: None
    )
    with pytest.raises(ConfigError, match=r"looks into the payload of 'made', which codec= seals"):
        Worker(broker, registry=registry)


def test_a_codec_that_fails_is_told_of_and_stores_nothing(broker: Broker) -> None:
    def fails(data: bytes) -> bytes:
        raise RuntimeError(data.decode())

    registry = Registry(codec=(fails, unseal))

    @task(registry=registry, queue="work", name="give", retries=0)
    def give() -> str:
        return SECRET

    Worker(broker, registry=registry)
    with pytest.raises(SealFailed, match="codec= cannot seal it: RuntimeError") as caught:
        sealed(broker, registry.codec).send("work", [Message("m", '{"task":"give","args":[1]}')])
    assert caught.value.__cause__ is None
    assert broker.counts("work").visible == 0
    for odd in ("fernet", (seal,), (seal, 1)):
        with pytest.raises(RegistrationError, match="pair of functions"):
            Registry(codec=odd)  # type: ignore[arg-type]


def test_what_is_sealed_is_not_sealed_twice_and_text_that_looks_so_is_refused() -> None:
    codec = read_codec((seal, unseal))
    once = codec.seal(b'{"a":1}')
    assert codec.seal(once) == once
    assert codec.open(once.decode()) == '{"a":1}'
    quoted = msgspec.json.encode({"text": f"he wrote {once.decode()}"}).decode()
    assert codec.open(quoted) == quoted
    plain = read_codec((lambda data: b"abc", lambda data: b"1"))
    assert plain.seal(b"[7]") == b'"taskflow.sealed:abc"'


def test_a_broker_is_sealed_once(registry: Registry, broker: Broker) -> None:
    found = sealed(broker, registry.codec)
    assert isinstance(found, SealedBroker)
    assert sealed(broker, registry.codec) is found
    assert sealed(found, registry.codec) is found
    assert sealed(broker, None) is broker


def test_the_outbox_keeps_no_plain_text(registry: Registry, broker: Broker, tmp_path: Path) -> None:
    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))
    Worker(broker, registry=registry)
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}")
    with engine.begin() as connection:
        outbox.create_table(connection)
        outbox.publish(connection, "made", {"card": SECRET})
    outbox.Relay(outbox.SqlAlchemy(engine), broker).publish_pending()
    assert SECRET.encode() not in at_rest(tmp_path)
    engine.dispose()
    drain(broker, registry)
    assert heard == [{"card": SECRET}]
    assert issubclass(PayloadSealed, DecodeError)


def test_a_simulation_shows_what_was_published(registry: Registry) -> None:
    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))
    with Sim(registry) as sim:
        publish("made", {"card": SECRET})
        sim.run_until_idle()
        assert [one.payload for one in sim.outbox] == heard == [{"card": SECRET}]


def test_a_command_seals_by_the_codec_of_its_modules(
    registry: Registry,
    tmp_path: Path,
    taskflow_clock: ManualClock,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taskflow_clock.set(SystemClock().now())  # the command's
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sealing_shop.py").write_text(
        "from taskflow.registry import default_registry\n"
        "from tests.taskflow.sealing.test_sealing import seal, unseal\n"
        "default_registry.codec = (seal, unseal)\n"
    )

    @workflow(registry=registry, queue="flows", name="flow")
    def flow(ctx: Run) -> list[Any]:
        return [ctx.wait("told"), ctx.wait("told")]

    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))
    worker = Worker(broker, registry=registry)
    run = flow.delay()
    worker.drain()
    default_registry.codec = None
    value, ours = json.dumps(SECRET), ["--broker", f"sqlite:///{tmp_path / 'shop.db'}"]
    for command in (["publish", "made", value], ["workflow", "signal", run.id, "told", value]):
        told = CliRunner().invoke(main, [*command, *ours, "-m", "sealing_shop"])
        assert told.exit_code == 0, told.output
        monkeypatch.delitem(sys.modules, "sealing_shop")
    assert SECRET.encode() not in at_rest(tmp_path)
    CliRunner().invoke(main, ["workflow", "signal", run.id, "told", "1", *ours])
    taskflow_clock.advance(3600)
    worker.drain()
    assert run.get(0) == [SECRET, 1]
    assert heard == [SECRET]
