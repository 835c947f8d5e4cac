"""`taskflow topology`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, QueueSettings

Run = Callable[..., Result]

TREE = """\
order.cancelled
└── mails  →  shop.send
    └── mails-dlq  after 5 retries (crashes: 6 receives)
order.created
├── audit  →  shop.record
│   └── audit-dlq  after 0 retries (crashes: 1 receives)
└── mails  →  shop.send
    └── mails-dlq  after 5 retries (crashes: 6 receives)
"""


def test_it_shows_what_subscribes_to_what_and_touches_no_broker(run: Run, folder: Path) -> None:
    assert run("topology", "-m", "shop").output == TREE
    assert not (folder / "taskflow.db").exists()


def test_without_modules_it_says_so(run: Run) -> None:
    assert run("topology").output == "no subscriptions were loaded\n"


def test_apply_declares_what_is_missing(run: Run, broker: Broker) -> None:
    result = run("topology", "apply", "-m", "shop")
    assert (result.exit_code, result.output) == (0, TREE)
    assert {"audit", "audit-dlq", "mails", "mails-dlq"} <= set(broker.queues())


def test_apply_takes_the_modules_before_it_too(run: Run, broker: Broker) -> None:
    assert run("topology", "-m", "shop", "apply").output == TREE
    assert "audit" in broker.queues()


def test_apply_changes_a_queue_that_disagrees(run: Run, broker: Broker) -> None:
    broker.create_queue("audit", QueueSettings(visibility_timeout=5))
    assert run("topology", "apply", "-m", "shop").exit_code == 0
    assert broker.settings("audit").visibility_timeout == 30


# ---- diff ---------------------------------------------------------------------------------------
def test_diff_says_what_the_broker_lacks_and_has_too_much(run: Run, broker: Broker) -> None:
    broker.create_queue("audit", QueueSettings(visibility_timeout=5))
    broker.subscribe("order.created", "plain")
    result = run("topology", "diff", "-m", "shop")
    assert result.exit_code == 0
    assert (
        result.output
        == """\
+ topic order.cancelled
~ queue audit: visibility_timeout is 5, declared as 30
~ queue audit: dead_letter_queue is None, declared as audit-dlq
~ queue audit: max_receives is None, declared as 1
+ queue audit-dlq
+ queue mails
+ queue mails-dlq
+ subscription order.cancelled → mails
+ subscription order.created → audit
+ subscription order.created → mails
"""
    )
    assert broker.queues() == ["audit", "plain"], "it only looks"


def test_check_fails_until_applied(run: Run, broker: Broker) -> None:
    assert run("topology", "diff", "-m", "shop", "--check").exit_code == 1
    run("topology", "apply", "-m", "shop")
    result = run("topology", "-m", "shop", "diff", "--check")
    assert (result.exit_code, result.output) == (0, "")
    broker.create_topic("lost")
    broker.subscribe("lost", "mails")
    result = run("topology", "diff", "-m", "shop", "--check")
    assert (result.exit_code, result.output) == (1, "- subscription lost → mails\n")


def test_diff_makes_no_broker_file(run: Run, folder: Path) -> None:
    assert run("topology", "diff", "-m", "shop").exit_code != 0
    assert not (folder / "taskflow.db").exists()


# ---- export -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("format", "begin"),
    [
        ("terraform", "terraform {"),
        ("cloudformation", '{\n  "AWSTemplateFormatVersion"'),
        ("asyncapi", '{\n  "asyncapi": "3.0.0"'),
        ("mermaid", "flowchart LR"),
        ("iam-policy", '{\n  "publishers"'),
    ],
)
def test_export_writes_the_document(run: Run, folder: Path, format: str, begin: str) -> None:
    result = run("topology", "export", "-m", "shop", "--format", format)
    assert result.exit_code == 0
    assert result.output.startswith(begin)
    assert run("topology", "-m", "shop", "export", "-f", format, "-o", "out").output == ""
    assert (folder / "out").read_text(encoding="utf-8") == result.output
    assert not (folder / "taskflow.db").exists()


def test_export_takes_the_place(run: Run) -> None:
    place = ("--region", "eu-west-1", "--account", "123456789012", "--prefix", "test-")
    result = run("topology", "export", "-m", "shop", "-f", "iam-policy", *place)
    assert "arn:aws:sqs:eu-west-1:123456789012:test-mails-dlq" in result.output


def test_export_takes_tables_and_bucket_from_the_address_that_is_set(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = "idempotency=dynamodb://finished&state=dynamodb://kept&payloads=s3://large/keys/"
    monkeypatch.setenv("TASKFLOW_BROKER", f"aws://eu-west-1?{options}")
    result = run("topology", "export", "-m", "shop", "-f", "iam-policy", "--state-table", "named")
    for found in ("table/finished", "table/named", "table/named/index/*", "::large/keys/*"):
        assert f'{found}"' in result.output
    assert "table/kept" not in result.output
    assert (
        "table/kept/index/*" in run("topology", "export", "-m", "shop", "-f", "iam-policy").output
    )
    monkeypatch.setenv("TASKFLOW_BROKER", "aws://eu-west-1?state=sqlite:///here.db")
    assert "dynamodb" not in run("topology", "export", "-m", "shop", "-f", "iam-policy").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "shop"], "Missing option '--format'"),
        (["-m", "shop", "-f", "pulumi"], "'pulumi' is not one of 'terraform'"),
        (["-f", "mermaid"], "Error: no subscription was loaded"),
        (["-m", "shop", "-f", "mermaid", "--account", "1"], "Error: account is '1'"),
        (["-m", "shop", "-f", "mermaid", "-o", "no/such"], "Error: no/such cannot be written: No "),
    ],
)
def test_export_says_what_is_wrong(run: Run, arguments: list[str], message: str) -> None:
    result = run("topology", "export", *arguments)
    assert result.exit_code == 2
    assert message in result.output
