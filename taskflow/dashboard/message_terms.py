"""A filter of messages as a question to the broker, and what of it is to be looked at after."""

import json
from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

import msgspec

from taskflow.broker.message_query import Found, MessageQuery, MessageState
from taskflow.broker.settings import QueueSettings
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.failure_view import failure_of
from taskflow.dashboard.hiding import Hiding, read_json
from taskflow.dashboard.terms import Between, Filter, Moment, Term, payload_at
from taskflow.message import Delivery, plain_text
from taskflow.sealing.codec import hide_sealed

NAMES = (
    "state",
    "queue",
    "topic",
    "handler",
    "error",
    "id",
    "key",
    "group",
    "attempt",
    "age",
    "sent",
    "died",
    "next",
    "cause",
)
WITH_BODIES = (*NAMES, "payload.")
"""For who may see bodies: words too."""
STATES: dict[str, MessageState] = {
    "waiting": "waiting",
    "delayed": "delayed",
    "retrying": "delayed",
    "in_flight": "in_flight",
    "running": "in_flight",
    "dead": "dead",
}
_RANGED = frozenset({"attempt", "age", "sent", "died", "next"})
_AS_WRITTEN = ((",", ":"), (", ", ": "))
_MOST_ATTEMPTS = 2**31
MOST_ASKED = 32
"""Characters of a word that the broker looks for. A database compares so many at each place of a
body that nearly is it; what it finds is looked at for the whole word in one go."""
_BY_NAME = {
    "topic": "topics",
    "id": "ids",
    "key": "keys",
    "group": "groups",
    "handler": "handlers",
    "error": "errors",
    "cause": "causes",
}


def to_query(
    found: Filter, settings: Mapping[str, QueueSettings], now: float, bodies: bool
) -> MessageQuery:
    """The question, to a broker whose queues have these settings. What it cannot ask (not, the
    second of a name, fields of the payload) `fits` looks at. Raises Refused for a state that is
    none, for what should be a number or a time, and for words of who may see no bodies."""
    asked: dict[str, Any] = {}
    for term in found.terms:
        _check(term)
    for term in _askable(found):
        if term.name == "state":
            asked["states"] = [_state(one) for one in term.values]
        elif term.name == "queue":
            asked["queues"] = _queues(term, settings)
        elif term.name in _BY_NAME:
            asked[_BY_NAME[term.name]] = term.values
        else:
            for name, bound in _bounds(term, now).items():
                narrower = max if name.endswith("from") else min
                if bound is not None:  # age: and sent: are about the same
                    asked[name] = narrower(asked.get(name, bound), bound)
    if found.words:
        if not bodies:
            raise Refused(
                403,
                "Words are looked for in bodies, which you do not see here.",
                ("Role bodies is needed. id:, key:, queue:, error: and others need none.",),
            )
        asked["text"] = max(found.words, key=len)[:MOST_ASKED]
    return MessageQuery(**asked)


def fits(found: Filter, one: Found, now: float, hiding: Hiding, bodies: bool) -> bool:
    """Whether a message that was found holds for all terms, also those that no question says."""
    asked = _askable(found)
    payload: list[object] = []
    for term in found.terms:
        if term.name.startswith("payload."):
            if not payload:
                payload.append(read_payload(one.delivery.body, hiding))
            if not term.admits(payload_at(payload[0], term.name), now):
                return False
        elif term not in asked and not term.admits(_value(term.name, one, hiding, now), now):
            return False
    if found.words and bodies:
        text = _shown_text(one.delivery, hiding)
        return all(word.casefold() in text for word in found.words)
    return True


def _askable(found: Filter) -> Sequence[Term]:
    """The terms that the question says: the first of each name, unless it is too much for it."""
    first: dict[str, Term] = {}
    for term in found.terms:
        several = term.name in _RANGED and len(term.ranges) > 1
        if not (term.negated or several or term.name == "next" or term.name.startswith("payload.")):
            first.setdefault(term.name, term)
    return list(first.values())


def _check(term: Term) -> None:
    if term.name in _RANGED and len(term.ranges) < len(term.values):
        raise Refused(
            400,
            f"{term.text} is no number and no time.",
            ("Write age:>5m, attempt:2..4, sent:2d or sent:>2026-11-26T12:00.",),
        )
    if term.name == "key" and term.negated:
        raise Refused(400, "Messages without a key cannot be asked for.")


def _shown_text(delivery: Delivery, hiding: Hiding) -> str:
    """What is seen of a message, for words to be looked for in: the broker looks through hidden
    fields too, and what it finds there would tell what they hold."""
    value, is_json = read_json(hide_sealed(delivery.body))
    hidden = hiding.values(value)
    if is_json:
        shown = hiding.shown(value)
        texts = [json.dumps(shown, ensure_ascii=False, separators=by) for by in _AS_WRITTEN]
    else:
        texts = [hiding.quoted(str(value))]
    texts += [
        hiding.quoted(hide_sealed(plain_text(one)), hidden)
        for name, one in delivery.attributes.items()
        if not hiding.hides(name)
    ]
    return " ".join(texts).casefold()


def read_payload(body: str, hiding: Hiding) -> object:
    """What handlers call the payload: the data of an envelope, else all; without hidden fields, by
    which nobody may look."""
    value, _ = read_json(body)
    if isinstance(value, dict) and "specversion" in value and "data" in value:
        value = value["data"]
    elif isinstance(value, dict) and set(value) <= {"task", "args", "kwargs"} and "task" in value:
        value = value.get("kwargs", {})
    return hiding.shown(value)


def _value(name: str, one: Found, hiding: Hiding, now: float) -> object:
    delivery = one.delivery
    failure = failure_of(delivery, hiding)
    match name:
        case "state":
            return [word for word, state in STATES.items() if state == one.state]
        case "queue":
            return [delivery.queue, delivery.source or delivery.queue]
        case "topic":
            return delivery.topic
        case "id":
            return delivery.id
        case "group":
            return delivery.group
        case "handler":
            return str(failure.facts.get("handler", "")) if failure else None
        case "error":
            names = (failure.error, failure.error.rpartition(".")[2]) if failure else ()
            return names
        case "cause":
            return one.cause
        case "attempt":
            return one.attempts
        case "age" | "sent":
            return Moment(delivery.sent_at)
        case "died":
            return None if one.died_at is None else Moment(one.died_at)
        case "next":
            return Moment(delivery.visible_at) if one.state == "delayed" else None
    return None


def _state(word: str) -> MessageState:
    if word not in STATES:
        raise Refused(400, f"No message is ever {word}.", (f"States: {', '.join(STATES)}.",))
    return STATES[word]


def _queues(term: Term, settings: Mapping[str, QueueSettings]) -> list[str]:
    """A queue stands for its dead-letter queue too; a name that is there nowhere is said so by the
    broker."""
    found: list[str] = []
    for one in term.values:
        found.append(one)
        if one.endswith("*"):
            continue
        known = settings.get(one)
        if known is not None and known.dead_letter_queue is not None:
            found.append(known.dead_letter_queue)
    return list(dict.fromkeys(found))


def _bounds(term: Term, now: float) -> dict[str, Any]:
    ends: Between = term.ranges[0]
    if term.name == "attempt":
        low, high = (None if one is None else _attempts(one) for one in ends[:2])
        if low is not None:
            low = floor(low) + 1 if ends.open else ceil(low)
        if high is not None:
            high = ceil(high) - 1 if ends.open else floor(high)
        return {"attempts_from": low, "attempts_to": high}
    begin, before = ends.moments(now)
    prefix = "died" if term.name == "died" else "sent"
    return {f"{prefix}_from": begin, f"{prefix}_before": before}


def _attempts(number: float) -> float:
    """As a store can hold it."""
    return max(-1.0, min(number, _MOST_ATTEMPTS))


def narrowed(query: MessageQuery, **fields: Any) -> MessageQuery:
    """The question with more said."""
    return msgspec.structs.replace(query, **fields)
