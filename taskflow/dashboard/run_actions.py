"""What is done with schedules, runs and redrives."""

from collections.abc import Callable

from taskflow.dashboard.action_fields import TYPED_FROM, Fields, few_ids, ids_of
from taskflow.dashboard.action_plan import Ended, Plan
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.redrives import Redrive
from taskflow.dashboard.visit import Visit
from taskflow.dashboard.writing import write_plural
from taskflow.errors import TaskflowError
from taskflow.scheduling.schedules import schedules
from taskflow.tasks.cancelling import cancel
from taskflow.workflows.retrying import retry_run

DIRECT = 10
"""Runs that are retried without a confirm page."""


def run_now(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]
    one = schedules.get(name, broker=visit.broker)
    if one is None:
        raise Refused(404, f"There is no schedule {name}.")

    def run() -> Ended:
        schedules.run_now(name, broker=visit.broker)
        return Ended(f"{name} was started once.", "/schedules", {}, 1)

    what = f"It calls {one.task} on {one.queue}" if one.task else f"It publishes to {one.topic}"
    return Plan(
        "run now",
        f"Run {name} now?",
        f"{what}, once; its ticks stay as they are.",
        f"Run {name}",
        {"do": "run-now", "target": name},
        run,
        back="/schedules",
        target=name,
    )


def pause_schedule(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]

    def run() -> Ended:
        schedules.pause(name, broker=visit.broker)
        return Ended(f"Schedule {name} is paused.", "/schedules", {})

    return Plan(
        "pause schedule", "", "", "", {"do": "pause-schedule"}, run, target=name, direct=True
    )


def resume_schedule(visit: Visit, fields: Fields) -> Plan:
    name = fields["target"]

    def run() -> Ended:
        schedules.resume(name, broker=visit.broker)
        return Ended(f"Schedule {name} goes on from now.", "/schedules", {})

    return Plan(
        "resume schedule", "", "", "", {"do": "resume-schedule"}, run, target=name, direct=True
    )


def retry_runs(visit: Visit, fields: Fields) -> Plan:
    def do(id: str) -> bool:
        retry_run(visit.broker, id)
        return True

    return _runs(
        visit,
        fields,
        "retry-runs",
        "retry run",
        "Retry",
        "retried",
        do,
        "Each goes on from where it failed; what it has done stays done.",
        False,
    )


def cancel_runs(visit: Visit, fields: Fields) -> Plan:
    return _runs(
        visit,
        fields,
        "cancel-runs",
        "cancel run",
        "Cancel",
        "cancelled",
        lambda id: cancel(visit.broker, id),
        "What waits ends at once; what runs is told within a second. There is no undo.",
        True,
    )


def _runs(
    visit: Visit,
    fields: Fields,
    word: str,
    did: str,
    verb: str,
    past: str,
    do: Callable[[str], bool],
    lede: str,
    danger: bool,
) -> Plan:
    ids = ids_of(fields)
    back = f"/workflows/{ids[0]}" if len(ids) == 1 else "/workflows"

    def run() -> Ended:
        done, failed = 0, ""
        for id in ids:
            try:
                done += do(id)
            except TaskflowError as error:
                failed = failed or str(error)
        said = f"{done:,} of {write_plural(len(ids), 'run')} {past}."
        return Ended(f"{said} {failed}" if failed else said, back, {}, done)

    return Plan(
        did,
        f"{verb} {write_plural(len(ids), 'run')}?",
        lede,
        f"{verb} {len(ids):,}",
        {"do": word, "ids": "\n".join(ids)},
        run,
        sample=ids[:3],
        count=len(ids),
        danger=danger,
        typed=len(ids) > TYPED_FROM,
        direct=not danger and len(ids) <= DIRECT,
        back=back,
        target=few_ids(ids),
    )


def stop_redrive(visit: Visit, fields: Fields) -> Plan:
    found = Redrive.find(visit.broker, fields["target"])
    if found is None:
        raise Refused(404, "There is no such redrive, or not any more.")

    def run() -> Ended:
        found.stop(visit.broker, f"stopped by {visit.who.name}")
        return Ended(f"Stopped after {found.done:,} of {found.total:,}.", "/dead", {}, found.done)

    frozen = {"do": "stop-redrive"}
    return Plan("stop redrive", "", "", "", frozen, run, queue=found.queue, direct=True)
