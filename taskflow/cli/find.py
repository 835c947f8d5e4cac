"""`taskflow find`: messages wherever they lie."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from taskflow.broker.message_query import Found, MessageQuery
from taskflow.cli.moments import read_since
from taskflow.cli.options import broker_option, opened, table
from taskflow.clock import rfc3339
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.hiding import HIDE_NOTHING
from taskflow.dashboard.message_terms import WITH_BODIES, fits, narrowed, to_query
from taskflow.dashboard.terms import Filter, read_filter
from taskflow.message import plain_text
from taskflow.sealing.codec import hide_sealed

HEADS = ("ID", "QUEUE", "STATE", "TOPIC", "SENT AT", "ATTEMPTS")
_NEGATED, _NOT = re.compile(r"-[A-Za-z][\w.]*:"), "\N{NOT SIGN}"
STATES = ("waiting", "delayed", "in_flight", "dead")


class _Command(click.Command):
    """Takes `-queue:audit` for a term, and not for options of a letter each."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        plain = [f"{_NOT}{one[1:]}" if _NEGATED.match(one) else one for one in args]
        return super().parse_args(ctx, plain)


@click.command(cls=_Command)
@click.argument("terms", nargs=-1, metavar="[ID|TERM]…")
@click.option("--queue", "queues", multiple=True, help="Only in this queue.")
@click.option("--topic", "topics", multiple=True, help="Only of this topic.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state."
)
@click.option("--group", "groups", multiple=True, help="Only of this message group.")
@click.option("--key", "keys", multiple=True, help="Only of the run that holds this key.")
@click.option("--handler", "handlers", multiple=True, help="Only what died in this handler.")
@click.option("--error", "errors", multiple=True, help="Only what died of this exception.")
@click.option("--cause", "causes", multiple=True, help="Only of this cause.")
@click.option("--text", help="Only with this text in body or attributes.")
@click.option("--since", help="Only what was sent since then: 15m, 2h, 1d, or a time.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, help="Default: 100.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, whole.")
@broker_option
def find(
    terms: Sequence[str],
    since: str | None,
    limit: int,
    as_json: bool,
    address: str | None,
    **asked: Any,
) -> None:
    """Find messages in all queues, the newest first. `shop.*` stands for all that begin so.

    A word alone is an id; words in quotes, with a space between, are looked for in body and
    attributes, in message after message: it goes on until the end, or Ctrl-C.

    The filters of the dashboard are understood: all must hold, `a,b` means either, `-` before one
    that it must not, `*` any ending; `>5m` `<1h` `2..4` are ranges, and `sent:2d` is in the last
    two days. A queue stands for its dead letters, too.

    \b
    state:dead                 waiting, delayed, retrying, in_flight or running, dead
    queue: topic: group:       where it lies or died, of what topic and message group
    id: key:                   its own id; the key that its run holds
    error:ValueError           the exception of a dead letter; handler: and cause: as well
    attempt:2..4               how often it was received
    age:>5m sent:2026-11-26    how long ago it was sent, and when; died: next: likewise
    payload.order_id:7         a field of the payload, by its path
    -state:dead queue:mail*    not this; any ending

    \b
    Example:
      taskflow find 01a3185c-5000-7c20-a29f-6fbed82c07cd
      taskflow find state:dead error:ValueError -queue:audit 'died:<2h'
      taskflow find --state dead --error ValueError --since 2h
    """
    found: list[Found] = []
    with opened(address) as broker:
        now = broker.clock.now()
        chosen, ids = _read(terms, now)
        there = broker.survey() if chosen.of("queue") else {}
        settings = {name: one.settings for name, one in there.items()}
        try:
            query = to_query(chosen, settings, now, bodies=True)
        except Refused as error:
            raise _usage(error) from error
        if since is not None:
            asked["sent_from"] = read_since("--since", since, now)
        query = narrowed(
            query, **_beside(query, {**asked, "ids": tuple(ids)}), limit=min(limit, 500)
        )
        try:
            while len(found) < limit:
                page = broker.find(query)
                found += [
                    one
                    for one in page.messages
                    if fits(chosen, one, now, HIDE_NOTHING, bodies=True)
                ]
                if page.next is None:
                    break
                query = msgspec.structs.replace(query, after=page.next)
        except KeyboardInterrupt:
            click.echo("stopped before the end", err=True)
    found = found[:limit]
    if as_json:
        click.echo(json.dumps([_describe(one) for one in found]))
        return
    lines = [
        [
            one.delivery.id,
            one.delivery.queue,
            one.state.replace("_", " "),
            one.delivery.topic or "-",
            rfc3339(one.delivery.sent_at),
            one.attempts,
        ]
        for one in found
    ]
    click.echo(table(HEADS, lines) if lines else "no such message")


def _read(terms: Sequence[str], now: float) -> tuple[Filter, Sequence[str]]:
    """The terms as a filter, and the ids among them."""
    ids: list[str] = []
    parts: list[Filter] = []
    try:
        for term in terms:
            text = f"-{term[1:]}" if term.startswith(_NOT) else term
            one = read_filter(text, WITH_BODIES, now)
            if one.words == [text] and " " not in text:
                ids.append(text)
            else:
                parts.append(one)
    except Refused as error:
        raise _usage(error) from error
    return Filter(
        " ".join(terms),
        [term for one in parts for term in one.terms],
        [word for one in parts for word in one.words],
    ), ids


def _beside(query: MessageQuery, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What options ask beside the terms. Raises UsageError for what both ask."""
    given = {name: value for name, value in asked.items() if value is not None and value != ()}
    for name in given:
        if getattr(query, name) not in (None, ()):
            what = name.removesuffix("s").removesuffix("_from")
            raise click.UsageError(f"{what} is asked by a term and beside it: once is enough")
    return given


def _usage(error: Refused) -> click.UsageError:
    return click.UsageError(" ".join([error.text, *error.todo]))


def _describe(one: Found) -> dict[str, Any]:
    delivery = one.delivery
    return {
        "id": delivery.id,
        "queue": delivery.queue,
        "topic": delivery.topic,
        "state": one.state,
        "group": delivery.group,
        "sent_at": delivery.sent_at,
        "attempts": one.attempts,
        "source": delivery.source,
        "cause": one.cause,
        "died_at": one.died_at,
        "attributes": {
            name: hide_sealed(plain_text(value)) for name, value in delivery.attributes.items()
        },
        "body": hide_sealed(delivery.body),
    }
