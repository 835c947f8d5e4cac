"""`taskflow doctor`, `explain` and `schema`, and the guide that shows them."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, QueueSettings, open_broker, publish
from taskflow.broker.settings import TopicSubscription
from taskflow.doctor.rules import RULES
from taskflow.publisher import using
from taskflow.registry import default_registry

Run = Callable[..., Result]
GUIDE = (Path(__file__).parents[3] / "docs/guides/doctor.md").read_text()
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
GOOD = """
from dataclasses import dataclass
from taskflow import subscribe

@dataclass
class Order:
    order_id: str

@subscribe("order.created", queue="audit", retries=1)
def record(order: Order) -> None: ...
"""


def numbers(result: Result) -> list[str]:
    return [one["number"] for one in json.loads(result.stdout)]


@pytest.fixture
def good(folder: Path, run: Run) -> Path:
    """A module that nothing is wrong with, and a broker that has what it needs."""
    (folder / "good.py").write_text(GOOD)
    run("topology", "-m", "good", "apply", "--broker", "sqlite:///good.db")
    return folder


# ---- doctor -------------------------------------------------------------------------------------
def test_a_sound_application_has_no_findings_and_exit_code_0(good: Path, run: Run) -> None:
    result = run("doctor", "-m", "good", "--broker", "sqlite:///good.db")
    assert result.output == (
        f"nothing found ({len(RULES)} rules, 1 queue of handlers, 2 in the broker)\n"
    )
    assert result.exit_code == 0


def test_findings_have_numbers_values_and_what_to_do(
    good: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFLOW_BROKR", "secret")
    (good / "good.db").chmod(0o644)
    address = ("--broker", "sqlite:///good.db")
    result = run("doctor", "-m", "good", *address)
    assert result.exit_code == 1
    assert result.output.splitlines()[:3] == [
        "TF403 warning: good.db: its mode is 0644",
        "    → chmod o= good.db; who shares it gets a group",
        "TF411 warning: variable TASKFLOW_BROKR: no setting has this name; TASKFLOW_BROKER is one",
    ]
    assert "secret" not in result.output
    ignored = run("doctor", "-m", "good", *address, "--ignore", "TF403", "--json")
    assert (numbers(ignored), ignored.exit_code) == (["TF411"], 1)
    assert run("doctor", "-m", "good", *address, "--fail-on", "error").exit_code == 0
    wrong = run("doctor", "-m", "good", "--ignore", "TF1")
    assert (wrong.exit_code, "no rule has the number 'TF1'" in wrong.output) == (2, True)


def test_a_broker_that_cannot_be_used_is_a_finding_unless_none_is_asked(
    run: Run, folder: Path
) -> None:
    result = run("doctor", "-m", "shop", "--json")
    assert (numbers(result), result.exit_code) == (["TF401"], 1)
    assert not (folder / "taskflow.db").exists(), "it makes none"
    without = run("doctor", "-m", "shop", "--no-broker")
    assert (without.exit_code, "no broker" in without.output) == (0, True)
    (folder / "taskflow.db").write_text(
        "this is no database, and longer than a header of one\n" * 9
    )
    assert "TF401" in numbers(run("doctor", "-m", "shop", "--json"))


def test_an_address_that_cannot_be_read_is_refused_without_its_password(
    run: Run, folder: Path
) -> None:
    result = run("doctor", "-m", "shop", "--broker", "postgresql://u:s3cr3t@[::1/db")
    assert (result.exit_code, "s3cr3t" in result.output) == (2, False)
    assert "its host cannot be read" in result.output


@pytest.mark.parametrize(
    "command", [["doctor"], ["explain", "order.created"], ["describe", "order.created"]]
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_password_of_a_subscribed_url_is_not_told(
    good: Path, run: Run, command: list[str], form: list[str]
) -> None:
    with closing(open_broker("sqlite:///good.db")) as broker:
        url = "https://user:s3cr3t@example.org/hook"
        broker.put_subscription(
            TopicSubscription("s1", "order.created", "https", url, pending=True)
        )
    modules = [] if command[0] == "describe" else ["-m", "good"]
    output = run(*command, *form, *modules, "--broker", "sqlite:///good.db").output
    assert "example.org" in output
    assert "s3cr3t" not in output


def test_the_files_of_a_broker_of_several_are_looked_at(run: Run, folder: Path) -> None:
    address = "sqlite:///many.db?shards=2&durability=process"
    run("topology", "-m", "shop", "apply", "--broker", address)
    (folder / "many.db.shard1").chmod(0o606)
    found = json.loads(run("doctor", "-m", "shop", "--broker", address, "--json").stdout)
    assert [(one["number"], one["about"]) for one in found] == [
        ("TF403", "many.db.shard1"),
        ("TF410", "broker"),
    ]


def test_the_rules_are_listed(run: Run) -> None:
    assert [one.split()[0] for one in run("doctor", "--rules").output.splitlines()[1:]] == [*RULES]
    assert numbers(run("doctor", "--rules", "--json")) == [*RULES]


# ---- explain ------------------------------------------------------------------------------------
def test_a_topic_is_explained_by_the_code_alone_where_no_broker_is(run: Run) -> None:
    result = run("explain", "order.created", "-m", "shop")
    assert result.exit_code == 0
    assert result.stderr.startswith("by the code alone: ")
    assert "⇒ shop.send (event): 5 retries, 5 min for each run" in result.stdout
    assert "crash: the message is hidden until its lease ends, 30 s at most" in result.stdout
    assert "0.21 to 2.10 USD per million messages" in result.stdout
    assert run("explain", "order.created", "-m", "shop", "--no-broker").stderr == ""
    shown = json.loads(run("explain", "audit", "-m", "shop", "--no-broker", "--json").stdout)
    assert [one["kind"] for one in shown] == ["queue"]
    assert shown[0]["handlers"][0]["attempts"] == [{"number": 1, "earliest": 0.0, "latest": 0.0}]


def test_an_id_is_explained_and_a_failure_without_its_text(run: Run, broker: Broker) -> None:
    run("topology", "-m", "shop", "apply")
    with using(broker):
        id = publish("order.created", "bad")
    (letter,) = broker.receive("audit")
    record = {"reason": "failed 1 times", "error": "ValueError", "attempts": 1, "failed_at": 9.0}
    broker.dead_letter([(letter, json.dumps({**record, "message": "card 4242", "handler": "h"}))])
    result = run("explain", id, "-m", "shop")
    lines = result.output.splitlines()
    assert (
        "  dead after 1 attempts by h with ValueError: failed 1 times 1970-01-01T00:00:09Z" in lines
    )
    assert "  next: nothing, until somebody acts: `taskflow dlq redrive audit`" in lines
    assert "4242" not in result.output
    found = json.loads(run("explain", id, "-m", "shop", "--json", "--id").stdout)
    assert [(one["queue"], one["state"]) for one in found] == [
        ("audit-dlq", "dead letter"),
        ("mails", "visible"),
    ]
    nothing = run("explain", "lost", "-m", "shop")
    assert (nothing.exit_code, nothing.stderr) == (
        1,
        "nothing is called 'lost': no topic, queue or task, and no id\n",
    )


def test_what_code_and_broker_do_not_share_is_said(run: Run, broker: Broker) -> None:
    broker.create_queue("theirs", QueueSettings())
    broker.subscribe("order.created", "theirs")
    shown = run("explain", "order.created", "-m", "shop").output
    assert "→ queue theirs  (not in the code that is loaded)" in shown
    assert "→ queue audit  (NOT subscribed)" in shown
    task = run("explain", "add", "-m", "jobs").output
    assert task.startswith("task jobs.add\n  → queue default  (NOT in the broker)\n")


# ---- schema -------------------------------------------------------------------------------------
def test_a_release_is_compared_with_what_is_exported_and_what_waits(good: Path, run: Run) -> None:
    exported = run("schema", "export", "-m", "good")
    assert exported.output == run("schema", "export", "-m", "good").output
    (good / "schemas.json").write_text(exported.output)
    same = run("schema", "diff", "schemas.json", "-m", "good")
    assert (same.exit_code, same.output) == (0, "no difference to schemas.json\n")
    (good / "schemas.json").write_text(exported.output.replace('"order_id"', '"id"'))
    changed = run("schema", "diff", "schemas.json", "-m", "good")
    assert (changed.exit_code, changed.output.splitlines()) == (
        1,
        [
            "breaking: event order.created on audit at $.id: the field is gone, and older code "
            "needs it",
            "breaking: event order.created on audit at $.order_id: the field is new, and must be "
            "there",
        ],
    )
    narrower = exported.output.replace('"type": "string"', '"enum": ["ord_1"]')
    (good / "schemas.json").write_text(narrower)
    assert run("schema", "diff", "schemas.json", "-m", "good").exit_code == 0
    strict = run("schema", "diff", "schemas.json", "-m", "good", "--strict", "--json")
    assert (strict.exit_code, json.loads(strict.stdout)[0]["effect"]) == (1, "careful")


def test_what_waits_and_does_not_fit_is_named_without_its_values(good: Path, run: Run) -> None:
    address = ("--broker", "sqlite:///good.db")
    run("publish", "order.created", '{"order_id": 4242}', *address)
    run("publish", "order.created", '{"order_id": "1"}', *address)
    result = run("schema", "diff", "-m", "good", *address)
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first.startswith(
        "does not fit: 1 in queue audit for event order.created: the payload does not fit: "
        "Expected `str`, got `int` - at `$.order_id` (first: "
    )
    assert (second, "4242" in result.output) == ("queue audit: looked at 2 of 2", False)
    some = run("schema", "diff", "-m", "good", *address, "--limit", "1", "--json")
    assert [one["kind"] for one in json.loads(some.stdout)] == ["misfit", "looked"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read"),
        ("{", "is no file of `taskflow schema export`"),
        ('{"format": 9, "schemas": []}', "has the format 9; this taskflow reads 1"),
    ],
)
def test_a_file_that_is_none_is_refused(good: Path, run: Run, text: str | None, why: str) -> None:
    if text is not None:
        (good / "s.json").write_text(text)
    result = run("schema", "diff", "s.json", "-m", "good")
    assert (result.exit_code, why in result.output) == (2, True)


# ---- the guide ----------------------------------------------------------------------------------
def test_the_guide_shows_what_the_commands_say(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pipe the guide shows some lines, which are among those that the command writes."""
    for language, text in BLOCK.findall(GUIDE):
        if language == "python":
            (folder / "shop.py").write_text(text)
            sys.modules.pop("shop", None)
            for name in ("_subscriptions", "_by_queue", "_engines"):
                monkeypatch.setattr(default_registry, name, {})
            monkeypatch.setattr(default_registry, "engines", ())
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            command, _, pipe = command.partition(" | ")
            words = shlex.split(command)
            to = words[-1] if words[-2] == ">" else None
            output = run(*words[1 : -2 if to else None]).output
            if to is not None and to != "/dev/null":
                (folder / to).write_text(output)
            elif to is None and pipe:
                assert shown
                assert [line for line in shown if line not in output] == []
            elif to is None:
                assert output.splitlines() == shown


def test_the_guide_has_every_number_as_it_is() -> None:
    rows = re.findall(r"^\| (TF\d+) \| (\w+) \| (.*?) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert rows == [(one.number, one.severity, one.title, one.why) for one in RULES.values()]
