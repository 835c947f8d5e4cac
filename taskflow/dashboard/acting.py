"""`POST /act`: from a button to a confirm page, and from that to what was asked for, once."""

from collections.abc import Mapping

from taskflow.broker.action import Action
from taskflow.dashboard.actions import plan_of
from taskflow.dashboard.answer import Answer, Refused, redirect
from taskflow.dashboard.hiding import read_json
from taskflow.dashboard.message import HIDDEN_MARK, restored, write_json
from taskflow.dashboard.plan import Ended, Plan
from taskflow.dashboard.visit import Visit
from taskflow.errors import MessageNotFound
from taskflow.message import new_id
from taskflow.wire.resending import edited

DIRECT = frozenset({"resume-queue", "pause-schedule", "resume-schedule", "stop-redrive"})
"""What is done without a confirm page: one thing, and it is undone by another button."""
LONGEST_WHY = 200


def act(visit: Visit) -> Answer:
    """Do it, or ask whether somebody is sure. Raises Refused."""
    form = visit.asked.form()
    fields = {name: values[-1] for name, values in form.items()}
    do, _, target = fields.get("do", "").partition(" ")
    visit.need("act", "change anything")
    if do == "resend":
        return _resend(visit, fields)
    fields |= {"do": do, "target": target or fields.get("target", "")}
    if "ids" not in fields:
        fields["ids"] = "\n".join(dict.fromkeys(form.get("id", [])))
    sure = "sure" in fields
    token = fields.get("token", "")
    name = "" if sure else visit.tokens.check(token, visit.who.name, {"form": "buttons"})
    plan = plan_of(visit, do, fields)
    if sure:
        name = visit.tokens.check(token, visit.who.name, plan.frozen)
        _check_typed(plan, fields.get("n", ""))
    elif do not in DIRECT:
        return visit.page(
            "confirm.html",
            "",
            looks=False,
            plan=plan,
            form_token=visit.tokens.make(visit.who.name, plan.frozen),
        )
    return _once(visit, name, plan, fields.get("why", ""))


def _once(visit: Visit, name: str, plan: Plan, why: str) -> Answer:
    """Do it, unless this form was sent before; note it either way."""
    before = visit.tokens.take(name, visit.who.name)
    if before is not None:
        raise Refused(
            409,
            "This form was sent before. Nothing was done twice.",
            (f"The first one: {before.said}",),
        )
    try:
        ended = plan.run()
    except Exception as error:
        _note(visit, plan, None, why, f"failed: {type(error).__name__}")
        visit.tokens.note(name, f"It failed: {error}", visit.who.name, "")
        raise
    finally:
        visit.surveyor.forget()
    _note(visit, plan, ended.count, why, "")
    to = visit.asked.link(ended.path, **{**ended.query, "done": name})
    visit.tokens.note(name, ended.said, visit.who.name, to)
    return redirect(to)


def _note(visit: Visit, plan: Plan, count: int | None, why: str, result: str) -> None:
    if not visit.broker.features.runs:
        return
    target = " · ".join(filter(None, (plan.target, why[:LONGEST_WHY])))
    visit.broker.note_action(
        Action(
            who=visit.who.name,
            did=plan.did,
            queue=plan.queue or None,
            target=target or None,
            count=count,
            via="dashboard",
            host=visit.asked.peer or None,
            result=result or None,
        )
    )


def _check_typed(plan: Plan, typed: str) -> None:
    if not plan.typed:
        return
    number = typed.replace(",", "").replace(" ", "").strip()
    if number != str(plan.count):
        shown = number[:20] or "nothing"
        raise Refused(422, f"You typed {shown}; it is {plan.count:,}. Nothing was done.")


def _resend(visit: Visit, fields: Mapping[str, str]) -> Answer:
    """Send an edited letter anew."""
    visit.need("bodies", "edit a message")
    queue, id = fields.get("queue", ""), fields.get("id", "")
    about = {"queue": queue, "id": id, "do": "resend"}
    name = visit.tokens.check(fields.get("token", ""), visit.who.name, about)
    found = visit.broker.peek(queue, 1, [id])
    if not found:
        if (before := visit.tokens.done(name)) is not None:
            raise Refused(
                409,
                "This form was sent before. Nothing was done twice.",
                (f"The first one: {before.said}",),
            )
        raise MessageNotFound(f"{queue} holds no letter {id} any more")
    letter = found[0]
    body = _edited_body(fields.get("payload", ""), letter.body)
    new = new_id(visit.now, visit.broker.random)
    message = edited(letter, new, body=body)

    def run() -> Ended:
        sent = visit.broker.resend(queue, id, message)
        to = letter.source or queue
        return Ended(f"Resent 1 message to {to} as {sent}.", f"/messages/{sent}", {"queue": to}, 1)

    plan = Plan("resend", "", "", "", about, run, queue=queue, target=f"{id} as {new}")
    return _once(visit, name, plan, fields.get("why", ""))


def _edited_body(text: str, original: str) -> str:
    """What was typed, with the hidden values of the original in their places. Raises Refused where
    a letter that is JSON would no longer be."""
    text = text.replace("\r\n", "\n")
    old, was_json = read_json(original)
    if not was_json:
        return original if text == HIDDEN_MARK else text
    new, is_json = read_json(text)
    if not is_json:
        raise Refused(
            422, "The body is no JSON any more. Nothing was sent.", ("Go back and mend it.",)
        )
    return write_json(restored(new, old))
