"""Which dead letters a command is about: options that choose some, and all that fit, in pages."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import click
import msgspec

from taskflow.broker import Broker
from taskflow.broker.message_query import Found, MessageQuery
from taskflow.cli.moments import read_since

PAGE = 500
_CHOICES = (
    ("cause", "Only of this cause (`dlq causes` names them)."),
    ("handler", "Only of this handler; `shop.*` for all that begin so."),
    ("error", "Only of this type of exception; `shop.*` for all that begin so."),
)


def letter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--cause, --handler, --error, --text, --died-since and --died-before, handed on as
    `chosen`: what is asked of a DLQ's letters, or None where nothing is."""

    @wraps(command)
    def with_query(
        *args: Any,
        cause: tuple[str, ...],
        handler: tuple[str, ...],
        error: tuple[str, ...],
        text: str | None,
        died_since: str | None,
        died_before: str | None,
        **named: Any,
    ) -> Any:
        def chosen(broker: Broker, letters: str) -> MessageQuery | None:
            if not (cause or handler or error or text or died_since or died_before):
                return None
            now = broker.clock.now()
            return MessageQuery(
                queues=[letters],
                states=["dead"],
                causes=cause,
                handlers=handler,
                errors=error,
                text=text,
                died_from=died_since and read_since("--died-since", died_since, now),  # type: ignore[arg-type]
                # What dies from now on was not meant.
                died_before=read_since("--died-before", died_before, now) if died_before else now,
                order="oldest",
                limit=PAGE,
            )

        return command(*args, chosen=chosen, **named)

    made: Callable[..., Any] = with_query
    ends = (
        ("--died-before", "Only what died before then: 2h ago, or a time."),
        ("--died-since", "Only what died since then: 15m, 2h, 1d, or a time."),
        ("--text", "Only with this text in body, attributes or failure."),
    )
    for name, said in ends:
        made = click.option(name, help=said)(made)
    for name, said in reversed(_CHOICES):
        made = click.option(f"--{name}", multiple=True, help=said)(made)
    return made


Chosen = Callable[[Broker, str], MessageQuery | None]


def all_found(broker: Broker, query: MessageQuery) -> Iterator[list[Found]]:
    """All that fits, page by page; an empty page is one that found nothing where it looked."""
    while True:
        page = broker.find(query)
        yield list(page.messages)
        if page.next is None:
            return
        query = msgspec.structs.replace(query, after=page.next)


def ids_of(broker: Broker, query: MessageQuery) -> list[str]:
    """The ids of all that fits: what is about to be changed, as it is now."""
    return [one.delivery.id for page in all_found(broker, query) for one in page]
