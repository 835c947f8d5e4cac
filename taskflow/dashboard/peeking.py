"""`Look`, over a broker that shows a message to nobody but who receives it: once, and noted."""

import msgspec

from taskflow.broker.action import Action
from taskflow.dashboard import message_page, queue
from taskflow.dashboard.action_fields import Fields, queue_of
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.visit import Visit


def look(visit: Visit, fields: Fields) -> Answer:
    """The page of a queue, or of a message in it, with what is received for it and given back. A
    page that looks again by itself would send messages to the dead letters, so a form is good once.
    Raises Refused, QueueNotFound, MessageNotFound."""
    where, id = queue_of(visit, fields), fields.get("id", "")
    name = visit.tokens.check(fields.get("token", ""), visit.who.name, {"form": "buttons"})
    if visit.tokens.take(name, visit.who.name) is not None:
        raise Refused(409, "This form has looked once.", ("Open the page anew.",))
    if visit.broker.features.runs:
        visit.broker.note_action(
            Action(
                who=visit.who.name,
                did="look",
                queue=where,
                target=id or None,
                via="dashboard",
                host=visit.asked.peer or None,
            )
        )
    visit.tokens.note(name, "It looked.", visit.who.name, "")
    path = f"/messages/{id}" if id else f"/queues/{where}"
    query = visit.asked.link("", queue=where).partition("?")[2] if id else ""
    visit.asked = msgspec.structs.replace(visit.asked, method="GET", path=path, query=query)
    visit.peeks = True
    return message_page.show(visit, id) if id else queue.show(visit, where)
