"""Messages as the rows of a table: looked for, and shown as far as their reader may see them."""

from collections.abc import Sequence
from typing import NamedTuple

from taskflow.broker.message_query import Found, MessagePage, MessageQuery
from taskflow.dashboard.came import MOST_CAME, NOTHING_CAME, Came
from taskflow.dashboard.failure_view import failure_of
from taskflow.dashboard.hiding import read_json
from taskflow.dashboard.message_terms import fits, narrowed, read_payload
from taskflow.dashboard.queue_view import Sign
from taskflow.dashboard.terms import Filter
from taskflow.dashboard.visit import Visit
from taskflow.message import Delivery
from taskflow.sealing.codec import hide_sealed
from taskflow.text import printable

SIZE = 50
"""Rows of a page."""
MOST_LOOKS = 5
"""Questions to the broker for one page, when few of what it finds fit."""
MOST_READ = 8 * 2**20
"""Characters of bodies after which it asks no more."""
SNIPPET = 120
"""Characters of a payload in a row."""


class MessageRow(NamedTuple):
    """A message in a table. `said` is its error, or the beginning of its payload."""

    delivery: Delivery
    sign: Sign
    word: str
    attempts: int
    died_at: float | None
    cause: str | None
    error: str
    said: str


class Rows(NamedTuple):
    """A page of messages: the rows, what to ask `after` next, how many were looked at, and since
    when (None: all that there are, or those of an index). `is_part`: it stopped before the page was
    full. `top` begins the page as it is now once more, and `came` says what has come since it was
    made."""

    rows: Sequence[MessageRow]
    next: str
    looked: int
    since: float | None
    is_part: bool = False
    top: str = ""
    came: Came = NOTHING_CAME


def find_rows(visit: Visit, query: MessageQuery, found: Filter, size: int = SIZE) -> Rows:
    """The messages of a page. It goes on from slice to slice until the page is full, a few times;
    then it says how far it has looked, and what to go on from."""
    bodies = visit.may("bodies")
    rows: list[MessageRow] = []
    after = visit.asked.one("after") or None
    top = None if after else visit.asked.one("top") or None
    came = NOTHING_CAME if top is None else _came(visit, query, found, top)
    is_first, asked_top = after is None, top
    looked, read, since = 0, 0, None
    for _ in range(MOST_LOOKS):
        page: MessagePage = visit.broker.find(
            narrowed(query, after=after, top=asked_top, limit=max(1, size - len(rows)))
        )
        asked_top = None
        if is_first and top is None:
            top = page.top
        rows += [
            row_of(visit, one)
            for one in page.messages
            if fits(found, one, visit.now, visit.hiding, bodies)
        ]
        after, looked, since = page.next, looked + page.looked, page.since
        read += sum(len(one.delivery.body) for one in page.messages)
        if len(rows) >= size or after is None or read > MOST_READ:
            break
    is_part = after is not None and len(rows) < size
    return Rows(rows, after or "", looked, since, is_part, top or "", came)


def _came(visit: Visit, query: MessageQuery, found: Filter, top: str) -> Came:
    """What has come since the page with this top."""
    page = visit.broker.find(narrowed(query, came=top, limit=MOST_CAME))
    bodies = visit.may("bodies")
    fitting = [one for one in page.messages if fits(found, one, visit.now, visit.hiding, bodies)]
    return Came(len(fitting), bool(fitting) and page.next is not None)


def peek_rows(visit: Visit, queue: str) -> Rows:
    """The oldest messages of a queue of a broker that cannot look for any."""
    found = [
        Found(
            one,
            "in_flight" if one.visible_at > visit.now and one.receive_count else "waiting",
            one.receive_count,
        )
        for one in visit.broker.peek(queue, SIZE)
    ]
    return Rows([row_of(visit, one) for one in found], "", len(found), None)


def row_of(visit: Visit, one: Found) -> MessageRow:
    """A message as a row."""
    delivery, bodies = one.delivery, visit.may("bodies")
    sign, word = state_words(one)
    failure = failure_of(delivery, visit.hiding)
    error = failure.line(bodies) if failure is not None else ""
    return MessageRow(
        delivery,
        sign,
        word,
        one.attempts,
        one.died_at,
        one.cause,
        error,
        snippet(visit, delivery.body) if bodies else "",
    )


def state_words(one: Found) -> tuple[Sign, str]:
    """Sign and word of a message's state."""
    match one.state:
        case "dead":
            return "bad", "dead"
        case "in_flight":
            return "run", "running"
        case "delayed":
            return ("warn", "retrying") if one.attempts else ("idle", "delayed")
    return ("warn", "waiting again") if one.attempts else ("", "waiting")


def snippet(visit: Visit, body: str) -> str:
    """The beginning of a payload, in a line, without what is hidden."""
    if len(body) > 100_000:
        return f"{len(body):,} characters"
    plain = hide_sealed(body)
    value = read_payload(plain, visit.hiding)
    if isinstance(value, dict):
        text = ", ".join(f"{name}: {_short(one)}" for name, one in value.items())
    else:
        text = value if isinstance(value, str) else _short(value)
    text = printable(text)
    return text if len(text) <= SNIPPET else f"{text[:SNIPPET]}…"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return f"[{len(value)}]" if value else "[]"
    return "null" if value is None else str(value)


def export_row(visit: Visit, row: MessageRow) -> dict[str, object]:
    """A row of a file; the payload is there for who may see it, without what is hidden."""
    one = row.delivery
    found: dict[str, object] = {
        "id": one.id,
        "topic": one.topic,
        "queue": one.queue,
        "source": one.source,
        "state": row.word,
        "attempts": row.attempts,
        "sent_at": one.sent_at,
        "died_at": row.died_at,
        "cause": row.cause,
        "error": row.error,
    }
    if visit.may("bodies"):
        value, is_json = read_json(hide_sealed(one.body))
        found["body"] = visit.hiding.plain(value) if is_json else visit.hiding.quoted(str(value))
    return found
