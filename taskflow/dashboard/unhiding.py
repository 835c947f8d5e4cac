"""`Show hidden fields`: one page of a message or a run as it is, once, and that it was is noted."""

import msgspec

from taskflow.broker.action import Action
from taskflow.dashboard import message_page, run_page
from taskflow.dashboard.action_fields import Fields
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.hiding import HIDE_NOTHING
from taskflow.dashboard.visit import Visit


def show_hidden(visit: Visit, fields: Fields) -> Answer:
    """The page, after it was noted who sees it. Needs `bodies` and `act`, and a broker that keeps
    a record. The form is good once, so a page that is loaded anew is hidden again. Raises Refused,
    MessageNotFound, NoResult."""
    visit.need("bodies", "hidden fields")
    if not visit.broker.features.runs:
        raise Refused(409, "This broker keeps no record, so hidden fields stay hidden.")
    name = visit.tokens.check(fields.get("token", ""), visit.who.name, {"form": "buttons"})
    id, queue = fields.get("id", ""), fields.get("queue", "")
    if visit.tokens.take(name, visit.who.name) is not None:
        raise Refused(409, "They were shown once by this form.", ("Open the page anew.",))
    visit.broker.note_action(
        Action(
            who=visit.who.name,
            did="show hidden",
            queue=queue or None,
            target=id,
            count=1,
            via="dashboard",
            host=visit.asked.peer or None,
        )
    )
    visit.tokens.note(name, "Hidden fields were shown.", visit.who.name, "")
    path = f"/messages/{id}" if queue else f"/workflows/{id}"
    where = visit.asked.link("", queue=queue).partition("?")[2]
    visit.asked = msgspec.structs.replace(visit.asked, method="GET", path=path, query=where)
    visit.hiding, visit.unhidden = HIDE_NOTHING, True
    return message_page.show(visit, id) if queue else run_page.show(visit, id)
