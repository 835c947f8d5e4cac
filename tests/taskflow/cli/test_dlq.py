"""`taskflow dlq`: list, show, redrive, purge."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, publish
from taskflow.broker import QueueSettings
from taskflow.cli.modules import load_registry
from taskflow.message import FAILURE, Message
from taskflow.testing import drain

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def letters(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three dead letters of the queue `audit`."""
    monkeypatch.syspath_prepend(folder)
    registry = load_registry(["shop"])
    drain(broker, registry)
    for number in range(3):
        publish("order.created", "bad", id=f"e{number}", broker=broker)
    drain(broker, registry, raise_errors=False)
    return ["e0", "e1", "e2"]


def dead(broker: Broker) -> list[str]:
    return [letter.id for letter in broker.peek("audit-dlq")]


# ---- list -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["audit", "audit-dlq"])
def test_list_shows_a_line_for_each_letter(run: Run, letters: list[str], name: str) -> None:
    heads, *lines = run("dlq", "list", name).output.splitlines()
    assert heads.split() == ["EVENT", "TOPIC", "FAILED", "AT", "ATTEMPTS", "REASON"]
    assert [line.split()[0] for line in lines] == letters
    _, topic, at, attempts, reason = lines[0].split(maxsplit=4)
    assert (topic, attempts) == ("order.created", "1")
    assert at.endswith("Z")
    assert reason == "failed 1 times: ValueError: no such order"


def test_list_may_be_limited(run: Run) -> None:
    assert len(run("dlq", "list", "audit", "--limit", "2").output.splitlines()) == 3


def test_list_as_json_has_the_failure(run: Run, letters: list[str]) -> None:
    found = json.loads(run("dlq", "list", "audit", "--json").output)
    assert [one["id"] for one in found] == letters
    assert found[0].keys() == {"id", "topic", "body", "attributes", "failure"}
    assert found[0]["failure"]["error"] == "ValueError"
    assert json.loads(found[0]["body"])["data"] == "bad"


def test_list_without_a_queue_counts_all(run: Run, broker: Broker) -> None:
    broker.create_queue("graveyard")
    broker.create_queue("yard", QueueSettings(dead_letter_queue="graveyard", max_receives=1))
    assert json.loads(run("dlq", "list", "--json").output) == [
        {"name": "audit-dlq", "dead_letters": 3},
        {"name": "graveyard", "dead_letters": 0},
        {"name": "mails-dlq", "dead_letters": 0},
    ]
    assert run("dlq", "list").output.splitlines()[1].split() == ["audit-dlq", "3"]


def test_list_of_an_empty_one_says_so(run: Run) -> None:
    assert run("dlq", "list", "mails").output == "no dead letters in mails\n"


def test_a_dead_letter_queue_may_have_any_name(run: Run, broker: Broker) -> None:
    broker.create_queue("graveyard")
    broker.create_queue("yard", QueueSettings(dead_letter_queue="graveyard", max_receives=1))
    broker.send("yard", [Message("1", "x")])
    broker.dead_letter([(broker.receive("yard")[0], '{"reason": "no"}')])
    for name in ("yard", "graveyard"):
        assert "1" in run("dlq", "show", name).output
    assert run("dlq", "redrive", "yard").output == "redrove 1 dead letters of yard\n"


# ---- show -------------------------------------------------------------------------------------
def test_show_prints_one_letter_whole(run: Run) -> None:
    output = run("dlq", "show", "audit", "--id", "e1").output
    assert output.startswith("id: e1\ntopic: order.created\n")
    assert "\nreason: failed 1 times\n" in output
    assert "\nhandler: shop.record\n" in output
    assert "\ntraceback:\n  Traceback (most recent call last):\n" in output
    assert "id: e2" not in output
    (at,) = [line for line in output.splitlines() if line.startswith("failed_at: ")]
    assert at.endswith("Z")


def test_show_as_json_may_choose(run: Run) -> None:
    found = json.loads(run("dlq", "show", "audit", "--json", "--id", "e0", "--id", "e2").output)
    assert [one["id"] for one in found] == ["e0", "e2"]


def test_one_id_on_two_topics_are_two_letters(run: Run, broker: Broker) -> None:
    broker.send("audit", [Message("e0", "x")])
    broker.dead_letter([(broker.receive("audit")[0], "{}")])
    found = json.loads(run("dlq", "show", "audit", "--json", "--id", "e0", "--id", "e1").output)
    assert sorted(one["id"] for one in found) == ["e0", "e0", "e1"]


# ---- redrive ----------------------------------------------------------------------------------
def test_redrive_sends_all_back(run: Run, broker: Broker) -> None:
    assert run("dlq", "redrive", "audit").output == "redrove 3 dead letters of audit\n"
    assert (dead(broker), broker.counts("audit").visible) == ([], 3)
    (message, *_) = broker.peek("audit")
    assert FAILURE not in message.attributes


def test_redrive_may_choose(run: Run, broker: Broker) -> None:
    result = run("dlq", "redrive", "audit", "--id", "e2", "--id", "e0")
    assert result.output == "redrove 2 dead letters of audit\n"
    assert dead(broker) == ["e1"]


# ---- purge ------------------------------------------------------------------------------------
def test_purge_asks_first(run: Run, broker: Broker) -> None:
    result = run("dlq", "purge", "audit", given="n\n")
    assert result.exit_code == 1
    assert "Delete 3 dead letters of audit for good?" in result.output
    assert len(dead(broker)) == 3
    assert run("dlq", "purge", "audit", given="y\n").exit_code == 0
    assert dead(broker) == []


def test_purge_does_not_ask_with_yes(run: Run, broker: Broker) -> None:
    assert run("dlq", "purge", "audit", "--yes").output == "deleted 3 dead letters of audit\n"
    assert dead(broker) == []


def test_purge_may_choose(run: Run, broker: Broker) -> None:
    assert run("dlq", "purge", "audit", "--id", "e1", "--yes").exit_code == 0
    assert dead(broker) == ["e0", "e2"]


# ---- refusals ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "command", [("list",), ("show",), ("redrive",), ("purge", "--yes")], ids=" ".join
)
class TestRefusals:
    def test_an_unknown_queue_exits_2_with_the_nearest(
        self, run: Run, command: tuple[str, ...]
    ) -> None:
        result = run("dlq", *command, "audti")
        assert result.exit_code == 2
        assert "known: audit, mails, plain (did you mean 'audit'?)" in result.stderr

    def test_a_queue_without_dead_letters_exits_2(
        self, run: Run, command: tuple[str, ...], broker: Broker
    ) -> None:
        broker.send("plain", [Message("1", "x")])
        result = run("dlq", *command, "plain")
        assert result.exit_code == 2
        assert "queue 'plain' has no dead-letter queue" in result.stderr
        assert broker.counts("plain").visible == 1


@pytest.mark.parametrize("command", [("show",), ("redrive",), ("purge", "--yes")], ids=" ".join)
def test_an_unknown_id_exits_2_and_changes_nothing(
    run: Run, broker: Broker, command: tuple[str, ...]
) -> None:
    result = run("dlq", *command, "audit", "--id", "e1", "--id", "nosuch")
    assert result.exit_code == 2
    assert "no dead letter 'nosuch' in audit-dlq" in result.stderr
    assert len(dead(broker)) == 3


# ---- FIFO -------------------------------------------------------------------------------------
@pytest.fixture
def groups(broker: Broker) -> Broker:
    """Dead letters of two groups: a0 b0 a1 b1 a2 b2, in this order."""
    broker.create_queue("lined-dlq.fifo")
    broker.create_queue(
        "lined.fifo", QueueSettings(dead_letter_queue="lined-dlq.fifo", max_receives=1)
    )
    for number in range(3):
        for group in "ab":
            name = f"{group}{number}"
            broker.send("lined.fifo", [Message(name, "x", group=group, deduplication_id=name)])
    for _ in range(6):
        broker.dead_letter([(broker.receive("lined.fifo")[0], "{}")])
    return broker


@pytest.mark.parametrize(
    ("chosen", "of_a"),
    [((), ["a0", "a1", "a2"]), (("a2", "b1", "a0"), ["a0", "a2"])],
)
def test_redrive_keeps_the_order_within_a_group(
    run: Run, groups: Broker, chosen: tuple[str, ...], of_a: list[str]
) -> None:
    options = [word for name in chosen for word in ("--id", name)]
    result = run("dlq", "redrive", "lined.fifo", *options)
    assert result.output == f"redrove {len(chosen) or 6} dead letters of lined.fifo\n"
    back = groups.receive("lined.fifo", limit=10)
    assert [found.id for found in back if found.group == "a"] == of_a


def test_a_fifo_dlq_is_listed(run: Run, groups: Broker) -> None:
    counts = json.loads(run("dlq", "list", "--json").output)
    assert {"name": "lined-dlq.fifo", "dead_letters": 6} in counts


@pytest.mark.parametrize(
    "record",
    [
        '{"error": "E"}',
        '{"failed_at": 1e300, "first_received_at": NaN, "sent_at": -1e12, "message": 2}',
        "[" * 90_000,
        '{"id": "spoof", "body": "spoof", "reason": "x\\n\\u001b[2Jforged", "attempts": [1]}',
    ],
)
def test_a_failure_record_may_be_anything(run: Run, broker: Broker, record: str) -> None:
    broker.send("audit", [Message("p1", "{}")])
    assert broker.dead_letter([(broker.receive("audit")[0], record)]) == [True]
    assert "p1" in run("dlq", "list", "audit").output
    assert json.loads(run("dlq", "list", "audit", "--json").output)[-1]["id"] == "p1"
    shown = run("dlq", "show", "audit", "--id", "p1").output
    assert shown.startswith("id: p1\n")
    assert "\x1b" not in shown
    assert "forged" not in [line.strip() for line in shown.splitlines()]
    assert "id: spoof" not in shown
    assert "dead after" in run("explain", "p1").output
