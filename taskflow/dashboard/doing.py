"""Doing what a form asks for, once, and noting it."""

from taskflow.broker.action import Action
from taskflow.dashboard.action_plan import Plan
from taskflow.dashboard.answer import Answer, Refused, redirect
from taskflow.dashboard.visit import Visit

LONGEST_WHY = 200


def sent_before(said: str) -> Refused:
    """Why a form is refused whose first sending came to this."""
    text = "This form was sent before. Nothing was done twice."
    return Refused(409, text, (f"The first one: {said}",))


def once(visit: Visit, name: str, plan: Plan, why: str) -> Answer:
    """Do it, unless this form was sent before; note it either way."""
    before = visit.tokens.take(name, visit.who.name)
    if before is not None:
        raise sent_before(before.said)
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
