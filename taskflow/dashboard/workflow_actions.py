"""What is done with one run of a workflow: it is told something, or another begins like it."""

import msgspec

from taskflow.dashboard.action_fields import Fields
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.visit import Visit
from taskflow.workflows.run_forking import fork_run
from taskflow.workflows.run_lookup import find_run
from taskflow.workflows.signals import check_name, send_signal
from taskflow.workflows.tree import tree_of


def signal_run(visit: Visit, fields: Fields) -> Plan:
    id, name = find_run(visit.broker, fields.get("id", "")).id, check_name(fields.get("name", ""))
    payload = _json(fields.get("payload", ""))
    back = f"/workflows/{id}"

    def run() -> Ended:
        if not send_signal(visit.broker, id, name, msgspec.Raw(payload.encode())):
            raise Refused(409, "The run has ended. Nothing was told.")
        return Ended(f"It was told {name}.", back, {}, 1)

    return Plan(
        "signal",
        f"Tell the run {name}?",
        "It takes it when it waits for this name: now, or later. There is no undo.",
        f"Tell it {name}",
        {"do": "signal-run", "id": id, "name": name, "payload": payload},
        run,
        [("Run", id), ("With", payload[:200])],
        back=back,
        target=f"{id} {name}",
    )


def fork(visit: Visit, fields: Fields) -> Plan:
    id, step = find_run(visit.broker, fields.get("id", "")).id, fields.get("step", "")
    if step and step not in [one.id for one in tree_of(visit.broker, id).steps]:
        raise Refused(404, "The run has no such step, or not any more.")

    def run() -> Ended:
        made = fork_run(visit.broker, id, step or None)
        return Ended(f"Begun as {made}.", f"/workflows/{made}", {}, 1)

    return Plan(
        "fork",
        f"Begin a run like it, {f'from before {step}' if step else 'from where it is'}?",
        "It has the same input, and what was kept before that; it does the rest once more, with "
        "all effects. The old run stays as it is.",
        "Begin another run",
        {"do": "fork-run", "id": id, "step": step},
        run,
        [("Like", id)],
        back=f"/workflows/{id}",
        target=f"{id} from {step or 'its end'}",
    )


def _json(text: str) -> str:
    """What was typed as JSON in one line, so that the confirm page carries it unchanged."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text.strip() or "null")).decode()
    except (msgspec.DecodeError, RecursionError):
        raise Refused(422, "That is no JSON; a text is written with quotes.") from None
