"""The buttons by name, and the plan of each."""

from collections.abc import Callable, Mapping

from taskflow.dashboard import letter_actions, run_actions, worker_actions, workflow_actions
from taskflow.dashboard.action_fields import Fields
from taskflow.dashboard.action_plan import Plan
from taskflow.dashboard.answer import Refused
from taskflow.dashboard.visit import Visit


def plan_of(visit: Visit, do: str, fields: Fields) -> Plan:
    """The plan of a button. Raises Refused for one that is not known, and for fields that are not
    what it needs; QueueNotFound."""
    make = _PLANS.get(do)
    if make is None:
        raise Refused(400, f"There is nothing that is called {do or 'nothing'} to do.")
    return make(visit, fields)


_PLANS: Mapping[str, Callable[[Visit, Fields], Plan]] = {
    "pause-queue": letter_actions.pause_queue,
    "resume-queue": letter_actions.resume_queue,
    "purge-queue": letter_actions.purge_queue,
    "redrive-queue": letter_actions.redrive_queue,
    "redrive-cause": letter_actions.redrive_cause,
    "redrive-cause-all": letter_actions.redrive_cause_all,
    "delete-cause": letter_actions.delete_cause,
    "redrive-ids": letter_actions.redrive_ids,
    "move-ids": letter_actions.move_ids,
    "delete-ids": letter_actions.delete_ids,
    "run-now": run_actions.run_now,
    "pause-schedule": run_actions.pause_schedule,
    "resume-schedule": run_actions.resume_schedule,
    "retry-runs": run_actions.retry_runs,
    "cancel-runs": run_actions.cancel_runs,
    "stop-redrive": run_actions.stop_redrive,
    "signal-run": workflow_actions.signal_run,
    "fork-run": workflow_actions.fork,
    "pause-worker": worker_actions.pause_worker,
    "resume-worker": worker_actions.resume_worker,
    "drain-worker": worker_actions.drain_worker,
}
