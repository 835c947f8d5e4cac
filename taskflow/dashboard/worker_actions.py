"""What is done with workers: one is told to pause, to go on, or to drain."""

from taskflow.broker import WorkerReport
from taskflow.dashboard.action_fields import Fields
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_plural
from taskflow.worker.orders import Told, tell_worker
from taskflow.worker.upkeep import BEAT


def pause_worker(visit: Visit, fields: Fields) -> Plan:
    one = _worker(visit, fields)
    said = f"{_name(one)} takes nothing new within {BEAT:.0f} s, and finishes what it holds."
    return _told(visit, one, "pause", "pause worker", said)


def resume_worker(visit: Visit, fields: Fields) -> Plan:
    one = _worker(visit, fields)
    said = f"{_name(one)} goes on within {BEAT:.0f} s."
    return _told(visit, one, "", "resume worker", said)


def drain_worker(visit: Visit, fields: Fields) -> Plan:
    one = _worker(visit, fields)

    def run() -> Ended:
        tell_worker(visit.broker, one.id, "drain")
        return Ended(f"{_name(one)} drains, and ends.", "/workers", {}, 1)

    return Plan(
        "drain worker",
        f"Drain {_name(one)}?",
        "It takes nothing new, finishes what runs however long that takes, and ends with exit code "
        "0; there is no way back. What started it may start another: --processes, systemd and "
        "Kubernetes do.",
        f"Drain {_name(one)}",
        {"do": "drain-worker", "target": one.id},
        run,
        [("Runs now", write_plural(one.busy, "message")), ("Queues", ", ".join(one.queues))],
        back="/workers",
        target=_name(one),
    )


def _told(visit: Visit, one: WorkerReport, told: Told, did: str, said: str) -> Plan:
    def run() -> Ended:
        tell_worker(visit.broker, one.id, told)
        return Ended(said, "/workers", {}, 1)

    return Plan(did, "", "", "", {"do": did}, run, target=_name(one), direct=True)


def _worker(visit: Visit, fields: Fields) -> WorkerReport:
    if not visit.broker.features.runs:
        raise Refused(409, "This broker keeps no records, so no worker can be told anything.")
    for one in visit.survey().workers:
        if one.id == fields["target"]:
            return one
    raise Refused(404, "There is no such worker, or not any more.")


def _name(one: WorkerReport) -> str:
    return f"{one.host}:{one.pid}"
