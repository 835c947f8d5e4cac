"""`taskflow describe`, and the attributes that `taskflow topology apply --file` sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from taskflow import Broker
from taskflow.broker.settings import TopicSubscription

Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("broker")

TOPOLOGY = """\
topics:
  order.created: {signature_version: 2}
queues:
  plain: {delay: 5, policy: '{"Version": "2012-10-17"}'}
subscriptions:
  - {topic: order.created, queue: plain, filter_policy: {kind: [big]}}
"""


def described(run: Run, *arguments: str) -> Any:
    return json.loads(run("describe", *arguments, "--json").output)


def test_a_file_sets_what_describe_shows(run: Run, broker: Broker, folder: Path) -> None:
    (folder / "topology.yaml").write_text(TOPOLOGY)
    result = run("topology", "apply", "--file", "topology.yaml")
    assert (result.exit_code, result.output) == (0, "declared topology.yaml\n")
    queue, topic = described(run, "plain"), described(run, "order.created")
    assert (queue["queue"], queue["delay"]) == ("plain", 5)
    assert queue["policy"] == '{"Version": "2012-10-17"}'
    assert (topic["topic"], topic["signature_version"]) == ("order.created", 2)
    (subscription,) = queue["subscriptions"]
    assert topic["subscriptions"] == [subscription]
    assert json.loads(subscription["filter_policy"]) == {"kind": ["big"]}


def test_handlers_and_a_file_go_together(run: Run, broker: Broker, folder: Path) -> None:
    (folder / "topology.yaml").write_text(TOPOLOGY.partition("queues")[2].join(["queues", ""]))
    assert run("topology", "apply", "-m", "shop", "--file", "topology.yaml").exit_code == 0
    assert {"audit", "mails"} <= set(broker.queues())
    assert broker.settings("plain").delay == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("queues: {plain: {colour: red}}", "unknown attribute 'colour'; known: visibility_timeout"),
        ("queues: {plain: {delay: -1}}", "delay is -1 s"),
        ("queues: [", "topology.yaml: "),
    ],
)
def test_a_bad_file_exits_2(run: Run, broker: Broker, folder: Path, text: str, reason: str) -> None:
    (folder / "topology.yaml").write_text(text)
    result = run("topology", "apply", "--file", "topology.yaml")
    assert (result.exit_code, reason in result.stderr) == (2, True)
    assert broker.settings("plain").delay == 0


def test_a_missing_file_exits_2(run: Run) -> None:
    result = run("topology", "apply", "--file", "nosuch.yaml")
    assert (result.exit_code, "'nosuch.yaml' does not exist" in result.stderr) == (2, True)


def test_describe_prints_a_line_for_each_attribute(run: Run, broker: Broker) -> None:
    broker.tag_queue("plain", {"team": "shop"})
    lines = run("describe", "plain").output.splitlines()
    assert lines[0] == "queue: plain"
    assert {"visibility_timeout: 30.0", "dead_letter_queue: -", "subscriptions: []"} <= set(lines)
    assert 'tags: {"team": "shop"}' in lines
    (created,) = [line for line in lines if line.startswith("created_at: ")]
    assert created.endswith("Z")


def test_describe_keeps_the_token_of_a_pending_subscription(run: Run, broker: Broker) -> None:
    broker.put_subscription(
        TopicSubscription(
            "s1", "order.created", "https", "https://example.org", pending=True, token="secret"
        )
    )
    assert described(run, "order.created")["subscriptions"][0]["pending"] is True
    assert "secret" not in run("describe", "order.created", "--json").output


def test_describe_of_an_unknown_name_exits_2(run: Run) -> None:
    result = run("describe", "plian")
    assert (result.exit_code, "did you mean 'plain'" in result.stderr) == (2, True)
