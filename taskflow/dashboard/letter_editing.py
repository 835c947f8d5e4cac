"""`Edit and resend`: what was typed is compared with the letter and checked, then sent once."""

from dataclasses import replace
from difflib import unified_diff
from typing import Any, NamedTuple

from taskflow.dashboard.action_fields import Fields
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.doing import once, sent_before
from taskflow.dashboard.hiding import read_json
from taskflow.dashboard.message_page import HIDDEN_MARK, editable, restored, write_json
from taskflow.dashboard.visit import Visit
from taskflow.errors import MessageNotFound
from taskflow.message import Delivery, new_id
from taskflow.schemas.waiting_messages import misfit_of
from taskflow.text import printable
from taskflow.wire.resending import edited

MOST_LINES = 400
"""Lines of a difference that are shown."""


class DiffLine(NamedTuple):
    """A line of a difference; `sign` is "+", "-" or "" for one that stays."""

    sign: str
    text: str


def resend(visit: Visit, fields: Fields) -> Answer:
    """Show what changes, and whether the handler takes it; or, once somebody is sure, send it.
    Raises Refused, MessageNotFound."""
    visit.need("bodies", "edit a message")
    queue, id = fields.get("queue", ""), fields.get("id", "")
    about = {"queue": queue, "id": id, "do": "resend"}
    name = visit.tokens.check(fields.get("token", ""), visit.who.name, about)
    found = visit.broker.peek(queue, 1, [id])
    if not found:
        if (before := visit.tokens.done(name)) is not None:
            raise sent_before(before.said)
        raise MessageNotFound(f"{queue} holds no letter {id} any more")
    letter = found[0]
    typed = fields.get("payload", "").replace("\r\n", "\n")
    body = _edited_body(typed, letter.body)
    if "sure" not in fields:
        return _review(visit, letter, typed, body, fields)
    new = new_id(visit.now, visit.broker.random)
    message = edited(letter, new, body=body)

    def run() -> Ended:
        sent = visit.broker.resend(queue, id, message)
        to = letter.source or queue
        return Ended(f"Resent 1 message to {to} as {sent}.", f"/messages/{sent}", {"queue": to}, 1)

    plan = Plan("resend", "", "", "", about, run, queue=queue, target=f"{id} as {new}")
    return once(visit, name, plan, fields.get("why", ""))


def _review(visit: Visit, letter: Delivery, typed: str, body: str, fields: Fields) -> Answer:
    to = letter.source or letter.queue
    known = to in visit.registry.queues()
    message = replace(letter, body=body, queue=to)
    misfit = misfit_of(visit.registry, to, message) if known else None
    refusal = "" if misfit is None else printable(visit.hiding.quoted(str(misfit)))
    return visit.page(
        "resend.html",
        "/dead",
        looks=False,
        delivery=letter,
        text=typed,
        refusal=f"No handler takes it as it is: {refusal}" if refusal else "",
        known=known,
        lines=_difference(visit, letter.body, body),
        why=fields.get("why", ""),
        form_token=fields.get("token", ""),
    )


def _difference(visit: Visit, old: str, new: str) -> list[DiffLine]:
    """What changes, with hidden fields hidden: of one that was changed the line says so."""
    before = editable(old, visit)
    value, is_json = read_json(new)
    try:
        shown = _shown(value if is_json else new, read_json(old)[0] if is_json else old, visit)
        after = write_json(shown, 2) if is_json else str(shown)
    except RecursionError:
        raise _too_deep() from None
    found = []
    for line in unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2):
        if not line.startswith(("---", "+++", "@@")):
            found.append(DiffLine(line[:1].strip(), printable(line[1:])))
    return found[:MOST_LINES]


def _shown(value: Any, old: Any, visit: Visit) -> Any:
    if isinstance(value, dict):
        olds = old if isinstance(old, dict) else {}
        return {
            name: _mark(one, olds.get(name))
            if visit.hiding.hides(name)
            else _shown(one, olds.get(name), visit)
            for name, one in value.items()
        }
    if isinstance(value, list):
        others = old if isinstance(old, list) else []
        return [
            _shown(one, others[at] if at < len(others) else None, visit)
            for at, one in enumerate(value)
        ]
    if isinstance(value, str) and visit.hiding.quoted(value) != value:
        return _mark(value, old)
    return value


def _mark(value: Any, old: Any) -> str:
    return HIDDEN_MARK if value == old else "…hidden, changed…"


def _edited_body(text: str, original: str) -> str:
    """What was typed, with the hidden values of the original in their places. Raises Refused where
    a letter that is JSON would no longer be, and for what is nested too deep."""
    old, was_json = read_json(original)
    if not was_json:
        return original if text == HIDDEN_MARK else text
    new, is_json = read_json(text)
    if not is_json:
        raise Refused(
            422, "The body is no JSON any more. Nothing was sent.", ("Go back and mend it.",)
        )
    try:
        return write_json(restored(new, old))
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> Refused:
    return Refused(422, "The body is nested too deep. Nothing was sent.")
