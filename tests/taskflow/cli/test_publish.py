"""`taskflow publish`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from taskflow import Broker
from taskflow.broker.settings import TopicSubscription
from taskflow.message import Attribute

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def subscribed(broker: Broker) -> None:
    broker.subscribe("order.created", "plain")


def stored(broker: Broker) -> list[Any]:
    return [json.loads(message.body)["data"] for message in broker.peek("plain", 10_000)]


def test_it_prints_the_id_of_the_event(run: Run, broker: Broker) -> None:
    result = run("publish", "order.created", '{"order_id": "o1", "name": "ñ"}')
    (message,) = broker.peek("plain")
    assert (result.exit_code, result.output) == (0, f"{message.id}\n")
    assert stored(broker) == [{"order_id": "o1", "name": "ñ"}]


@pytest.mark.parametrize("text", ["5", '"text"', "null", "[1, 2]", ' {"a": 1}\n'])
def test_any_json_is_a_payload(run: Run, broker: Broker, text: str) -> None:
    assert run("publish", "order.created", text).exit_code == 0
    assert stored(broker) == [json.loads(text)]


def test_the_payload_may_come_from_standard_input(run: Run, broker: Broker) -> None:
    assert run("publish", "order.created", "-", given='{"a": "ñ"}').exit_code == 0
    assert stored(broker) == [{"a": "ñ"}]


def test_the_payload_may_come_from_a_file(run: Run, broker: Broker, folder: Path) -> None:
    (folder / "order.json").write_text('{"a": 1}')
    assert run("publish", "order.created", "@order.json").exit_code == 0
    assert stored(broker) == [{"a": 1}]


def test_an_id_may_be_given_and_is_published_once(run: Run, broker: Broker) -> None:
    for _ in range(2):
        assert run("publish", "order.created", "1", "--id", "e1").output == "e1\n"
    assert stored(broker) == [1]


@pytest.mark.parametrize(
    ("delay", "seconds"), [("90", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)]
)
def test_it_may_be_due_later(run: Run, broker: Broker, delay: str, seconds: float) -> None:
    assert run("publish", "order.created", "1", "--delay", delay).exit_code == 0
    (message,) = broker.peek("plain")
    assert message.visible_at == pytest.approx(message.sent_at + seconds)
    assert broker.counts("plain").delayed == 1


@pytest.mark.parametrize("count", [2, 501])
def test_it_may_be_many(run: Run, broker: Broker, count: int) -> None:
    result = run("publish", "order.created", "1", "--count", str(count))
    assert result.output == f"published {count} events\n"
    assert broker.counts("plain").visible == count
    assert len({message.id for message in broker.peek("plain", 1000)}) == count


def test_create_makes_a_new_topic_and_says_that_nobody_listens(run: Run, broker: Broker) -> None:
    result = run("publish", "brand.new", "1", "--create")
    assert result.exit_code == 0
    assert result.stderr == "Warning: no queue subscribes to 'brand.new': it went nowhere\n"
    assert "brand.new" in broker.topics()


def test_a_topic_of_a_handler_is_declared_with_its_queues(run: Run, broker: Broker) -> None:
    result = run("publish", "order.cancelled", "1", "-m", "shop")
    assert (result.exit_code, result.stderr) == (0, "")
    assert broker.counts("mails").visible == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["order.created", '{"a": }'], r"the payload is no JSON: .*\(byte 6\)"),
        (["order.created", ""], "the payload is no JSON"),
        (["order.created", "{'a': 1}"], r"the payload is no JSON: .*\(byte 1\)"),
        (["order.created", '"\udcff"'], "the payload is no JSON: .*utf-8"),
        (["order.created", "[" * 100_000], "the payload is no JSON: .*recursion"),
        (["order.created", "@nosuch.json"], "nosuch.json: No such file or directory"),
        (["order.created", "@."], "Is a directory"),
        (["order.createt", "1"], r"known: order.created \(did you mean 'order.created'\?\)"),
        (["order.createt", "1"], "with --create"),
        (["order-created", "1", "--create"], r"no '-' \(example: order.created\)"),
        (["order.created", "1", "--id", "x", "--count", "2"], "--id names one event"),
        (["order.created", "1", "--id", ""], "--id is empty"),
        (["order.created", "1", "--count", "0"], "0 is not in the range x>=1"),
        (["order.created", "1", "--delay", "soon"], "'soon' is no duration; examples: 90"),
        (["order.created", "1", "--delay", "-5"], "'-5' is no duration"),
        (["order.created", "1", "--delay", "30d"], "passes the retention of queue 'plain'"),
        (["order.created"], r"Missing argument 'JSON\|-\|@FILE'"),
    ],
)
def test_bad_input_exits_2_with_the_reason_and_stores_nothing(
    run: Run, broker: Broker, arguments: list[str], reason: str
) -> None:
    before = broker.topics()
    result = run("publish", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(f"^Error: .*{reason}", result.stderr.splitlines()[-1])
    assert (stored(broker), broker.topics()) == ([], before)


def test_a_payload_over_the_limit_exits_2_with_the_limit(
    run: Run, broker: Broker, folder: Path
) -> None:
    (folder / "large.json").write_text(f'"{"x" * 2**20}"')
    result = run("publish", "order.created", "@large.json", "--count", "3")
    assert result.exit_code == 2
    assert "1048576 are allowed" in result.stderr
    assert stored(broker) == []


def test_a_fifo_topic_wants_a_group(run: Run, broker: Broker) -> None:
    broker.create_topic("orders.fifo")
    broker.create_queue("lined.fifo")
    broker.subscribe("orders.fifo", "lined.fifo")
    result = run("publish", "orders.fifo", "1")
    assert result.exit_code != 0
    assert "topic 'orders.fifo' is FIFO: a message needs a group" in result.output
    assert run("publish", "orders.fifo", "1", "--group", "o1").exit_code == 0
    assert [found.group for found in broker.peek("lined.fifo")] == ["o1"]


# ---- attributes and deduplication ---------------------------------------------------------------
def test_attributes_are_on_the_message(run: Run, broker: Broker) -> None:
    options = ["--attribute", "kind=big", "--attribute", "cents:Number=990"]
    assert run("publish", "order.created", "1", *options).exit_code == 0
    (message,) = broker.peek("plain")
    assert message.attributes == {"kind": "big", "cents": Attribute("Number", "990")}


@pytest.mark.parametrize(("cents", "reached"), [("990", 1), ("5", 0)])
def test_filter_policies_see_them(run: Run, broker: Broker, cents: str, reached: int) -> None:
    broker.create_queue("large")
    policy = '{"cents": [{"numeric": [">", 100]}]}'
    broker.put_subscription(
        TopicSubscription("s1", "order.created", "sqs", "large", filter_policy=policy)
    )
    run("publish", "order.created", "1", "--attribute", f"cents:Number={cents}")
    assert broker.counts("large").visible == reached


@pytest.fixture
def lined(broker: Broker) -> Broker:
    broker.create_topic("orders.fifo")
    broker.create_queue("lined.fifo")
    broker.subscribe("orders.fifo", "lined.fifo")
    return broker


def test_a_duplicate_is_not_published_again_and_has_the_id_of_the_first(
    run: Run, lined: Broker
) -> None:
    once = ["publish", "orders.fifo", "1", "--group", "g", "--deduplication-id", "d"]
    first, second = run(*once), run(*once)
    assert first.stdout == second.stdout
    assert first.stderr == ""
    assert "published within five minutes before" in second.stderr
    assert [one.deduplication_id for one in lined.peek("lined.fifo")] == ["d"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["order.created", "1", "--deduplication-id", "d"], "one event on a FIFO topic"),
        (["orders.fifo", "1", "--deduplication-id", "d", "--count", "2"], "is for one event"),
        (["orders.fifo", "1", "--group", "g", "--deduplication-id", ""], "deduplication id is ''"),
        (["orders.fifo", "1", "--group", "g", "--delay", "5"], "have no delays of their own"),
        (["order.created", "1", "--attribute", "kind"], "'kind' is not written as name=value"),
        (["order.created", "1", "--attribute", "n:Number=x"], "Could not cast"),
        (["order.created", "1", "--attribute", "a=1", "--attribute", "a=2"], "is there twice"),
        (["order.created", "1", "--attribute", "a=\udcff"], "is no UTF-8"),
    ],
)
def test_bad_options_exit_2_and_publish_nothing(
    run: Run, lined: Broker, arguments: list[str], reason: str
) -> None:
    result = run("publish", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert lined.peek("plain") == lined.peek("lined.fifo") == []
