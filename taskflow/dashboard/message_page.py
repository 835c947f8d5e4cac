"""`/messages/ID`: one message, what it holds and what became of it; `/messages/ID/resend`."""

import json
import re
from typing import Any

from taskflow.broker.message_query import Found, MessageQuery
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.code_view import write_payload, write_traceback
from taskflow.dashboard.failure_view import failure_of
from taskflow.dashboard.hiding import read_json
from taskflow.dashboard.message_rows import row_of, state_words
from taskflow.dashboard.visit import Visit
from taskflow.errors import DecodeError, MessageNotFound, QueueNotFound
from taskflow.event import open_envelope
from taskflow.message import CAUSED_BY, FAILURE, Delivery, plain_text
from taskflow.sealing.codec import hide_sealed
from taskflow.text import printable
from taskflow.wire.trace_header import header_parent

MOST_QUEUES = 100
_HALVES = re.compile("[\ud800-\udfff]")
HIDDEN_MARK = "…hidden…"
"""Stands in an edited payload for a value that stays as it is."""


def show(visit: Visit, rest: str) -> Answer:
    """The message; with several of that id (one a queue) they are listed, unless ?queue= says
    which. Raises MessageNotFound."""
    id, resend = (rest.removesuffix("/resend"), True) if rest.endswith("/resend") else (rest, False)
    if not (visit.broker.features.inspection or visit.peeks):
        return _unseen(visit, id, resend)
    found = find_message(visit, id)
    if not found:
        raise MessageNotFound(
            f"No message has the id {id}. What is handled is not kept; it may be done"
        )
    if resend:
        return _resend(visit, found[0])
    if len(found) > 1:
        return _several(visit, id, found)
    return _one(visit, found[0])


def find_message(visit: Visit, id: str) -> list[Found]:
    """The messages of an id, in the queue that the address names, or in all."""
    queue = visit.asked.one("queue")
    queues = [queue] if queue else []
    if visit.broker.features.inspection:
        query = MessageQuery(ids=[_exact(id)], queues=queues, limit=MOST_QUEUES)
        return [one for one in visit.broker.find(query).messages if one.delivery.id == id]
    return [Found(one, "waiting", one.receive_count) for one in visit.broker.peek(queue, ids=[id])]


def _unseen(visit: Visit, id: str, resend: bool) -> Answer:
    """In place of a message that nobody sees but who receives it."""
    if resend:
        raise Refused(404, "This broker cannot put a message in the place of a letter.")
    queue = visit.asked.one("queue")
    if not queue:
        raise Refused(404, "This broker finds no message without its queue.")
    if queue not in visit.survey().settings:
        raise QueueNotFound(queue, visit.survey().settings)
    return visit.page("unseen.html", "/queues", looks=False, id=id, queue=queue)


def _exact(id: str) -> str:
    """An id that ends in a star would be taken for any ending."""
    if id.endswith("*"):
        raise MessageNotFound(f"No message has the id {id}")
    return id


def _several(visit: Visit, id: str, found: list[Found]) -> Answer:
    return visit.page("several.html", "/queues", id=id, rows=[row_of(visit, one) for one in found])


def _one(visit: Visit, one: Found) -> Answer:
    delivery, bodies = one.delivery, visit.may("bodies")
    settings = visit.survey().settings.get(delivery.source or delivery.queue)
    payload, _ = read_json(hide_sealed(delivery.body))
    hidden = visit.hiding.values(payload)
    failure = failure_of(delivery, visit.hiding)
    sign, word = state_words(one)
    attributes = {
        printable(name): (
            f"hidden: {name}"
            if visit.hiding.hides(name)
            else printable(visit.hiding.quoted(hide_sealed(plain_text(value)), hidden))
        )
        for name, value in delivery.attributes.items()
        if name not in (FAILURE, CAUSED_BY)
    }
    caused_by = delivery.attributes.get(CAUSED_BY)
    return visit.page(
        "message.html",
        "/dead" if one.state == "dead" else "/queues",
        one=one,
        delivery=delivery,
        sign=sign,
        word=word,
        settings=settings,
        size=len(delivery.body.encode("utf-8", "replace")),
        payload=write_payload(delivery.body, visit.hiding) if bodies else None,
        attributes={**attributes, **delivery.headers} if bodies else None,
        attributes_in_all=len(attributes),
        failure=failure,
        failure_line=failure.line(bodies) if failure else "",
        traceback=write_traceback(failure.traceback)
        if failure and failure.traceback and bodies
        else None,
        caused_by=plain_text(caused_by) if caused_by is not None else None,
        neighbours=_neighbours(visit, one),
        causation=_causation(delivery),
        trace_id=_trace_id(delivery),
    )


def _causation(delivery: Delivery) -> str | None:
    """The id of the event whose handler published this one."""
    try:
        return open_envelope(delivery).causationid if delivery.topic else None
    except DecodeError:
        return None


def _trace_id(delivery: Delivery) -> str | None:
    parent = header_parent(delivery.trace)
    return None if parent is None else parent.split("-")[1]


def _neighbours(visit: Visit, one: Found) -> list[tuple[str, str, str]]:
    """Where else this event lies: queue, sign and word."""
    if not visit.broker.features.inspection or one.delivery.id.endswith("*"):
        return []
    query = MessageQuery(ids=[one.delivery.id], limit=MOST_QUEUES)
    return [
        (other.delivery.queue, *state_words(other))
        for other in visit.broker.find(query).messages
        if other.delivery.queue != one.delivery.queue
    ]


def _resend(visit: Visit, one: Found) -> Answer:
    visit.need("act", "resend")
    visit.need("bodies", "edit a message")
    if one.state != "dead":
        raise Refused(409, f"The message is {state_words(one)[1]}; dead letters are sent anew.")
    delivery = one.delivery
    about = {"queue": delivery.queue, "id": delivery.id, "do": "resend"}
    return visit.page(
        "resend.html",
        "/dead",
        looks=False,
        delivery=delivery,
        text=editable(delivery.body, visit),
        refusal="",
        lines=None,
        why="",
        form_token=visit.tokens.make(visit.who.name, about),
    )


def editable(body: str, visit: Visit) -> str:
    """A body to edit: JSON laid out, with a mark where a hidden field, or a text that quotes one,
    stays as it is. Raises Refused for what is nested too deep."""
    value, is_json = read_json(body)
    if not is_json:
        return str(_marked(body, visit))
    try:
        return write_json(_marked(value, visit), 2)
    except RecursionError:
        text = "The body is nested too deep to be edited here."
        raise Refused(409, text, ("taskflow dlq resend takes it from a file.",)) from None


def _marked(value: Any, visit: Visit) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN_MARK if visit.hiding.hides(name) else _marked(one, visit)
            for name, one in value.items()
        }
    if isinstance(value, str):  # where a page would show it with parts hidden
        return value if visit.hiding.quoted(value) == value else HIDDEN_MARK
    return [_marked(one, visit) for one in value] if isinstance(value, list) else value


def write_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON, as it was read: NaN stays (msgspec would write null), half a surrogate pair
    stays an escape, since no text can hold it."""
    by = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=by, ensure_ascii=False)
    if _HALVES.search(text):
        text = json.dumps(value, indent=indent, separators=by)
    return text


def restored(edited: Any, original: Any) -> Any:
    """An edited value with what its marks stand for, as the original has it at the same place."""
    if edited == HIDDEN_MARK:
        return original
    if isinstance(edited, dict):
        old = original if isinstance(original, dict) else {}
        return {name: restored(one, old.get(name, one)) for name, one in edited.items()}
    if isinstance(edited, list):
        olds = original if isinstance(original, list) else []
        padded = [*olds, *edited[len(olds) :]]
        return [restored(one, padded[at]) for at, one in enumerate(edited)]
    return edited
