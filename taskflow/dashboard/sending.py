"""`/send`: a message of one's own, to a queue or a topic."""

from collections.abc import Mapping

from taskflow.broker.action import Action
from taskflow.dashboard.answer import Answer, Refused, redirect
from taskflow.dashboard.doing import sent_before
from taskflow.dashboard.typed_message import read_message, read_target, sentence
from taskflow.dashboard.visit import Visit
from taskflow.errors import BrokerError, BrokerUnavailable
from taskflow.message import Message

FIELDS = ("to", "body", "group", "deduplication_id", "attributes")


def send(visit: Visit) -> Answer:
    """The form, or what it did when it was posted."""
    visit.need("act", "send")
    if visit.asked.method != "POST":
        given = {name: visit.asked.one(name) for name in FIELDS}
        return _form(visit, given, "", 200)
    fields = {name: values[-1] for name, values in visit.asked.form().items()}
    name = visit.tokens.check(fields.get("token", ""), visit.who.name, {"form": "send"})
    try:
        kind, to = read_target(fields.get("to", ""))
        message = read_message(fields, visit.broker, visit.who.name)
    except Refused as error:
        return _form(visit, fields, error.text, 400)
    before = visit.tokens.take(name, visit.who.name)
    if before is not None:
        raise sent_before(before.said)
    try:
        said, path = _sent(visit, kind, to, message)
    except BrokerUnavailable:
        raise
    except BrokerError as error:
        return _form(visit, fields, sentence(error), 400)
    visit.surveyor.forget()
    if visit.broker.features.runs:
        queue = to if kind == "queue" else None
        visit.broker.note_action(
            Action(
                who=visit.who.name,
                did="send" if kind == "queue" else "publish",
                queue=queue,
                target=message.id if kind == "queue" else f"{message.id} to {to}",
                count=1,
                via="dashboard",
                host=visit.asked.peer or None,
            )
        )
    link = visit.asked.link(path, done=name)
    visit.tokens.note(name, said, visit.who.name, link)
    return redirect(link)


def _sent(visit: Visit, kind: str, to: str, message: Message) -> tuple[str, str]:
    """Send it; what that did, and the page that shows it."""
    if kind == "queue":
        (sent,) = visit.broker.send(to, [message])
        return f"Sent message {sent.id}.", f"/queues/{to}"
    published = visit.broker.publish(to, [message])
    said = f"Published message {published.sent[0].id} to {to}."
    if not published.subscriptions:
        said += " It went nowhere: the topic has no subscriptions."
    return said, "/"


def _form(visit: Visit, fields: Mapping[str, str], refusal: str, status: int) -> Answer:
    survey = visit.survey()
    return visit.page(
        "send.html",
        "/queues",
        status,
        looks=False,
        queues=sorted(survey.settings),
        topics=visit.broker.topics(),
        filled={name: fields.get(name, "") for name in FIELDS},
        refusal=refusal,
        form_token=visit.tokens.make(visit.who.name, {"form": "send"}),
    )
