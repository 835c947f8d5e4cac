"""`taskflow describe`: the attributes, tags and subscriptions of a queue or topic."""

import json
from dataclasses import asdict
from typing import Any

import click

from taskflow.broker.admin import Admin
from taskflow.broker.settings import TopicSubscription
from taskflow.cli.options import Kind, broker_option, kind_of, kind_options, opened
from taskflow.clock import rfc3339
from taskflow.text import shown_endpoint


@click.command()
@click.argument("name")
@kind_options
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@broker_option
def describe(name: str, kind: Kind | None, as_json: bool, address: str | None) -> None:
    """Show every attribute of the queue or topic NAME, its tags, and who subscribes.

    `taskflow topology apply --file` changes attributes, `taskflow tags` the tags.

    \b
    Example:
      taskflow describe audit --json | jq -r .policy
    """
    with opened(address) as broker:
        found = _describe(broker, name, kind or kind_of(broker, name))
    if as_json:
        click.echo(json.dumps(found))
        return
    for key, value in found.items():
        click.echo(f"{key}: {_text(key, value)}")


def _describe(broker: Admin, name: str, kind: Kind) -> dict[str, Any]:
    if kind == "queue":
        settings, about = asdict(broker.settings(name)), broker.describe_queue(name)
    else:
        settings, about = asdict(broker.topic_settings(name)), broker.describe_topic(name)
    subscriptions = [
        _subscription(one)
        for one in broker.subscriptions(name if kind == "topic" else None)
        if kind == "topic" or (one.protocol == "sqs" and one.endpoint == name)
    ]
    return {
        kind: name,
        **settings,
        "created_at": about.created_at,
        "modified_at": about.modified_at,
        "tags": dict(sorted(about.tags.items())),
        "subscriptions": subscriptions,
    }


def _subscription(one: TopicSubscription) -> dict[str, Any]:
    """Without the token, by which its owner confirms it, and the password of its URL."""
    shown = {key: value for key, value in asdict(one).items() if key != "token"}
    return {**shown, "endpoint": shown_endpoint(one.endpoint)}


def _text(key: str, value: Any) -> str:
    if key.endswith("_at"):
        return rfc3339(value)
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)
