"""A filter of messages as a question to the broker, and what of it is to be looked at after."""

from typing import Any

import msgspec

from taskflow.broker.message_query import Found, MessageQuery, MessageState
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.failure import failure_of
from taskflow.dashboard.hiding import Hiding, read_json
from taskflow.dashboard.survey import Survey
from taskflow.dashboard.terms import Between, Filter, Moment, Term, payload_at

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
_BY_NAME = {
    "topic": "topics",
    "id": "ids",
    "key": "keys",
    "group": "groups",
    "handler": "handlers",
    "error": "errors",
    "cause": "causes",
}


def to_query(found: Filter, survey: Survey, now: float, bodies: bool) -> MessageQuery:
    """The question. What it cannot ask (not, fields of the payload) `fits` looks at. Raises Refused
    for a state that is none, and for words of who may see no bodies."""
    asked: dict[str, Any] = {}
    for term in found.terms:
        if term.negated or term.name.startswith("payload."):
            continue
        if term.name == "state":
            asked["states"] = [_state(one) for one in term.values]
        elif term.name == "queue":
            asked["queues"] = _queues(term, survey)
        elif term.name in _BY_NAME:
            asked[_BY_NAME[term.name]] = term.values
        elif term.ranges:
            asked |= _bounds(term, now)
    if found.words:
        if not bodies:
            raise Refused(
                403,
                "Words are looked for in bodies, which you do not see here.",
                ("Role bodies is needed. id:, key:, queue:, error: and others need none.",),
            )
        asked["text"] = max(found.words, key=len)
    return MessageQuery(**asked)


def fits(found: Filter, one: Found, now: float, hiding: Hiding, bodies: bool) -> bool:
    """Whether a message that was found holds for all terms, also those that no question says."""
    delivery = one.delivery
    payload: list[object] = []
    for term in found.terms:
        if term.name.startswith("payload."):
            if not payload:
                payload.append(read_payload(delivery.body, hiding))
            if not term.admits(payload_at(payload[0], term.name), now):
                return False
        elif (term.negated or term.name == "next") and not term.admits(
            _value(term.name, one, hiding, now), now
        ):
            return False
    rest = sorted(found.words, key=len)[:-1]
    if rest and bodies:
        text = " ".join([delivery.body, *map(str, delivery.attributes.values())]).casefold()
        return all(word.casefold() in text for word in rest)
    return True


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


def _queues(term: Term, survey: Survey) -> list[str]:
    """A queue stands for its dead-letter queue too; a name that is there nowhere is said so by the
    broker."""
    found: list[str] = []
    for one in term.values:
        found.append(one)
        if one.endswith("*"):
            continue
        settings = survey.settings.get(one)
        if settings is not None and settings.dead_letter_queue is not None:
            found.append(settings.dead_letter_queue)
    return list(dict.fromkeys(found))


def _bounds(term: Term, now: float) -> dict[str, Any]:
    ends: Between = term.ranges[0]
    if term.name == "attempt":
        low = None if ends.low is None else int(ends.low) + ends.open
        high = None if ends.high is None else int(ends.high) - ends.open
        return {"attempts_from": low, "attempts_to": high}
    if term.name not in ("age", "sent", "died"):
        return {}
    begin, before = ends.moments(now)
    prefix = "died" if term.name == "died" else "sent"
    return {f"{prefix}_from": begin, f"{prefix}_before": before}


def narrowed(query: MessageQuery, **fields: Any) -> MessageQuery:
    """The question with more said."""
    return msgspec.structs.replace(query, **fields)
