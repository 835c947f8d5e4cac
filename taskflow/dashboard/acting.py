"""`POST /act`: from a button to a confirm page, and from that to what was asked for, once."""

from taskflow.dashboard import letter_editing
from taskflow.dashboard.action_plan import Plan
from taskflow.dashboard.answer import Answer, Refused
from taskflow.dashboard.buttons import plan_of
from taskflow.dashboard.doing import once
from taskflow.dashboard.peeking import look
from taskflow.dashboard.unhiding import show_hidden
from taskflow.dashboard.visit import Visit


def act(visit: Visit) -> Answer:
    """Do it, or ask whether somebody is sure. Raises Refused."""
    form = visit.asked.form()
    fields = {name: values[-1] for name, values in form.items()}
    do, _, target = fields.get("do", "").partition(" ")
    visit.need("act", "change anything")
    if do == "resend":
        return letter_editing.resend(visit, fields)
    if do == "show-hidden":
        return show_hidden(visit, fields)
    if do == "look":
        return look(visit, fields)
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
    elif not plan.direct:
        return visit.page(
            "confirm.html",
            "",
            looks=False,
            plan=plan,
            form_token=visit.tokens.make(visit.who.name, plan.frozen),
        )
    return once(visit, name, plan, fields.get("why", ""))


def _check_typed(plan: Plan, typed: str) -> None:
    if not plan.typed:
        return
    number = typed.replace(",", "").replace(" ", "").strip()
    if number != str(plan.count):
        shown = number[:20] or "nothing"
        raise Refused(422, f"You typed {shown}; it is {plan.count:,}. Nothing was done.")
