"""`taskflow send`, `peek` and `purge`: messages of one queue."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker
from taskflow.message import Attribute, Message

Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("broker")


# ---- send -------------------------------------------------------------------------------------
def test_a_text_is_sent_as_it_is(run: Run, broker: Broker) -> None:
    result = run("send", "plain", "no JSON, ñ")
    (message,) = broker.peek("plain")
    assert (result.exit_code, result.output) == (0, f"{message.id}\n")
    assert (message.body, message.topic) == ("no JSON, ñ", "")


def test_it_may_come_from_standard_input_or_a_file(run: Run, broker: Broker, folder: Path) -> None:
    (folder / "text").write_text("from the file")
    run("send", "plain", "@text")
    run("send", "plain", "-", given="from outside\n")
    assert [one.body for one in broker.peek("plain")] == ["from the file", "from outside\n"]


def test_every_option_is_on_the_message(run: Run, broker: Broker) -> None:
    options = ["--attribute", "kind=big", "--attribute", "cents:Number=990", "--delay", "1h"]
    run("send", "plain", "x", "--id", "m1", "--group", "g", *options)
    (message,) = broker.peek("plain")
    assert (message.id, message.group) == ("m1", "g")
    assert message.attributes == {"kind": "big", "cents": Attribute("Number", "990")}
    assert message.visible_at == pytest.approx(message.sent_at + 3600)


def test_a_duplicate_on_a_fifo_queue_has_the_id_of_the_first(run: Run, broker: Broker) -> None:
    broker.create_queue("lined.fifo")
    once = ["send", "lined.fifo", "x", "--group", "g", "--deduplication-id", "d"]
    first, second = run(*once), run(*once)
    assert first.output == second.output
    assert [one.deduplication_id for one in broker.peek("lined.fifo")] == ["d"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["plian", "x"], "did you mean 'plain'"),
        (["plain", ""], "the message body is empty"),
        (["plain", "\udcff"], "the text is no UTF-8"),
        (["plain", "@nosuch"], "nosuch: No such file or directory"),
        (["plain", "x", "--id", ""], "--id is empty"),
        (["plain", "x", "--attribute", "kind"], "'kind' is not written as name=value"),
        (["plain", "x", "--attribute", "aws.x=1"], "reserved"),
        (["plain", "x", "--attribute", "n:Number=many"], "Can't cast the value"),
        (["plain", "x", "--attribute", "n:Date=now"], "supported type prefixes"),
        (["plain", "x", "--delay", "30d"], "passes the retention of queue 'plain'"),
        (["plain", "x", "--group", "a b"], "the message group is 'a b'"),
        (["lined.fifo", "x"], "needs a group"),
        (["lined.fifo", "x", "--group", "g"], "needs a deduplication id"),
    ],
)
def test_bad_input_exits_2_and_sends_nothing(
    run: Run, broker: Broker, arguments: list[str], reason: str
) -> None:
    broker.create_queue("lined.fifo")
    result = run("send", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert broker.peek("plain") == broker.peek("lined.fifo") == []


# ---- peek -------------------------------------------------------------------------------------
@pytest.fixture
def three(broker: Broker) -> Broker:
    """One in flight, one visible, one delayed."""
    broker.send("plain", [Message("held", "x"), Message("free", "a\nb" + "c" * 100)])
    broker.receive("plain")
    broker.send("plain", [Message("late", "z", {"n": Attribute("Number", "1")}, 60)])
    return broker


def test_peek_shows_each_with_its_state_and_takes_none(run: Run, three: Broker) -> None:
    before = three.counts("plain").visible
    heads, *lines = run("peek", "plain").output.splitlines()
    assert heads.split() == ["ID", "SENT", "AT", "RECEIVED", "STATE", "BODY"]
    words = [line.split() for line in lines]
    assert [line[0] for line in words] == ["held", "free", "late"]
    assert [line[2:5] for line in words] == [
        ["1", "in", "flight"],
        ["0", "visible", "a"],
        ["0", "delayed", "z"],
    ]
    assert lines[1].endswith("a b" + "c" * 56 + "…")
    assert three.counts("plain").visible == before


def test_peek_as_json_is_whole(run: Run, three: Broker) -> None:
    found = json.loads(run("peek", "plain", "--json", "--id", "free", "--id", "late").output)
    assert [one["id"] for one in found] == ["free", "late"]
    assert found[0]["body"] == "a\nb" + "c" * 100
    assert (found[1]["state"], found[1]["attributes"]) == ("delayed", {"n": "1"})


def test_peek_may_be_limited(run: Run, three: Broker) -> None:
    assert len(json.loads(run("peek", "plain", "--json", "--limit", "2").output)) == 2


def test_peek_at_nothing(run: Run) -> None:
    assert run("peek", "plain").output == "no messages in plain\n"
    assert run("peek", "plian").exit_code == 2


# ---- purge ------------------------------------------------------------------------------------
def held(broker: Broker) -> list[str]:
    return [one.id for one in broker.peek("plain")]


def test_purge_asks_first(run: Run, three: Broker) -> None:
    result = run("purge", "plain", given="n\n")
    assert result.exit_code == 1
    assert "Delete 3 messages of plain for good?" in result.output
    assert len(held(three)) == 3


def test_purge_takes_what_is_hidden_too(run: Run, three: Broker) -> None:
    assert run("purge", "plain", "--yes").output == "deleted 3 messages of plain\n"
    assert held(three) == []


def test_purge_may_choose(run: Run, three: Broker) -> None:
    assert run("purge", "plain", "--id", "free", "--yes").output == "deleted 1 messages of plain\n"
    assert held(three) == ["held", "late"]


def test_purge_of_an_unknown_queue_exits_2(run: Run) -> None:
    result = run("purge", "plian", "--yes")
    assert (result.exit_code, "did you mean 'plain'" in result.stderr) == (2, True)
