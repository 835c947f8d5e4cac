"""The failure record of a dead letter, as its reader may see it."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from taskflow.dashboard.hiding import Hiding, read_json
from taskflow.message import FAILURE, Delivery, plain_text
from taskflow.sealing.codec import hide_sealed


class Failure(NamedTuple):
    """What a failure record says. `error` is the exception's name, `reason` what it said, both ""
    where there is none; `facts` are the rest by name, without the traceback."""

    error: str
    reason: str
    traceback: str
    facts: Mapping[str, object]

    def line(self, bodies: bool) -> str:
        """In a line: the kind alone for who may see no bodies, since words quote payloads."""
        kind = self.error.rpartition(".")[2]
        if not bodies:
            return kind or "no exception"
        return self.reason if not kind or self.reason.startswith(kind) else f"{kind}: {self.reason}"


def failure_of(delivery: Delivery, hiding: Hiding) -> Failure | None:
    """The failure record of a message, without what is hidden, also where it quotes a value that
    the payload hides; None without one. Anybody may send an attribute of that name, so it may be
    anything."""
    value = delivery.attributes.get(FAILURE)
    if value is None:
        return None
    text = hide_sealed(plain_text(value))
    values = hiding.values(read_json(hide_sealed(delivery.body))[0])
    try:
        found = json.loads(text)
        # What is nested becomes text here: deeper in a template there may be no room for it.
        facts = {
            str(name): one if isinstance(one, int | float) else hiding.quoted(str(one), values)
            for name, one in found.items()
            if one is not None
        }
    except (AttributeError, ValueError, RecursionError):
        return Failure("", hiding.quoted(text, values), "", {})
    traceback = str(facts.pop("traceback", ""))
    error = str(facts.pop("error", ""))
    message = str(facts.pop("message", ""))
    reason = str(facts.pop("reason", "")) or message
    return Failure(error, message or reason, traceback, facts)
