"""What Celery has and `taskflow.celery` has not, by name, and what to use instead."""

from collections.abc import Mapping
from typing import Any

from taskflow.errors import NotPorted

_WORKER = "`taskflow worker` is the worker, and its options are those of the command"
_LOOK = "`taskflow top`, `queues`, `runs` and `workers` show it, and `pause` and `cancel` act"
_HOOKS = "middleware surrounds every task (taskflow.use), and link and link_error follow it"
_GRAPH = "`taskflow result ID` shows a run; of a chain .parent is known, of a group .results"

REFUSED: Mapping[str, str] = {
    # ---- options of a task
    "acks_late=False": "a message is acknowledged when its task has ended; max_retries=0 runs it "
    "once, and what a crash interrupts is a dead letter",
    "acks_on_failure=False": "what has failed for good is a dead letter, not delivered again; "
    "`taskflow dlq redrive` sends it back",
    "reject_on_worker_lost=False": "what a dead worker had is delivered again, each time an "
    "attempt less; max_retries=0 runs it once",
    "serializer": "messages and results are JSON; nothing is unpickled, and YAML is not read",
    "compression": "a message of up to 1 MiB is stored as it is; store what is larger elsewhere, "
    "and send where",
    "exchange": "there are no exchanges: queue= says where a task waits, a topic of taskflow who "
    "hears an event",
    "routing_key": "there are no exchanges: queue= says where a task waits",
    "priority": "0 to 9 mean the opposite on Redis and RabbitMQ; priorities have names: "
    "priority='high', 'normal' or 'low', of a task or of a call",
    "base": _HOOKS,
    "store_errors_even_if_ignored": "what fails for good is a dead letter with its error, whether "
    "its result is kept or not",
    # ---- options of a call
    "shadow": "a run is shown by the name of its task; headers= carry text of your own",
    "time_limit of a call": "it is an option of the task, and of all its calls",
    "producer": "calls go to the one broker of the process; they need no connection in hand",
    "link with task_id": "the id would be that of all that follows: leave one of them out, or "
    "write a chain",
    "countdown in a canvas": "the parts of a plan start when what is before them has ended; call "
    "the plan from a task that has the countdown",
    "link in a canvas": "what follows is said once: a part of a chain, or a group at its end",
    "link_error in a canvas": "a plan has one, for whatever part fails: chain(...).on_error(...)",
    # ---- of a task
    "Task.replace": "return what add.s(...).delay() is called with, or write the chain beforehand",
    "Task.add_to_chord": "make the members known beforehand, or call a second chord from the body",
    "delay_on_commit": "transaction.on_commit(lambda: task.delay(...)), or an outbox",
    "all of Celery's request": "it has id, task, retries, args, kwargs, root_id, parent_id, "
    "headers, delivery_info, and taskflow's own `context`",
    "retry with other arguments": "a retry is the same message; call the task anew with .delay()",
    "retry with options": "a retry keeps the options of its call: queue, headers, expiry",
    "retry(throw=False)": "a retry ends the attempt: let it raise, last in the task",
    "retry beyond max_retries": "the limit is the task's: raise max_retries in @app.task",
    # ---- of a result
    "terminate": "no process is killed: revoke() tells what runs, which looks at "
    "taskflow's ctx.cancelled, and time_limit= interrupts it",
    "children": _GRAPH,
    "collect": _GRAPH,
    "iterdeps": _GRAPH,
    "get_leaf": _GRAPH,
    "build_graph": _GRAPH,
    "then": "link= is called when a task has succeeded, by a worker",
    "revoke_by_stamped_headers": "revoke by id; `taskflow runs --json` finds ids",
    "callback of get": "get returns when it is there; taskflow.as_completed yields each as it ends",
    # ---- of the canvas
    "StampingVisitor": "headers= of a call, which self.request.headers shows",
    "stamp": "headers= of a call, which self.request.headers shows",
    "skew": "rate_limit= spreads the starts of a task",
    "chunks of more than 100000": "call it for 100000 items at a time",
    # ---- of the app
    "worker_main": _WORKER,
    "start": _WORKER,
    "Worker": _WORKER,
    "control": _LOOK,
    "events": _LOOK,
    "pool": "calls go to the one broker of the process",
    "connection": "calls go to the one broker of the process",
    "amqp": "there are no exchanges, and queues are declared by the workers",
    "backend": "results lie beside the messages: AsyncResult(id)",
    "autodiscover_tasks without packages": "name them: app.autodiscover_tasks(['shop', 'mails'])",
    "rpc": "results lie beside the messages, and anybody may read them: backend='taskflow://'",
    "another result backend": "results lie beside the messages: backend='taskflow://'",
    "another broker": "an address is sqlite:///FILE, postgresql://…, memory:// or aws://REGION "
    "(for sqs://): Celery(broker=...), or TASKFLOW_BROKER",
    "task_always_eager": "taskflow.testing.drain runs what was called, in the test's thread, by "
    "the real road",
    # ---- of the package
    "Task": _HOOKS,
    "signals": _HOOKS,
    "bootsteps": _HOOKS,
    "solar": "work out the next time in a task, and call that with eta=",
    "current_task": "bind=True hands the task its own self",
    # ---- of schedules
    "crontab with days of both kinds": "Celery wants both days to fit, cron one of them; write "
    "one, and look at the other in the task",
    "options of a schedule": "beside queue: say them of the task, as expires= of @app.task",
    "relative schedule": "an interval is counted from the epoch, so that restarts do not move it",
    "schedule of another kind": "seconds, a timedelta or a crontab",
    # ---- in a queue
    "kombu message": "Celery sent it, and nothing of it is decoded here: let Celery's workers "
    "empty the queue, or have it sent again through taskflow",
}
"""What is not there, and what is instead; each is refused where it is met, with these words."""


def refuse(what: str, given: Any = None) -> NotPorted:
    """The error for something in REFUSED, to be raised; `given` is shown if it says more."""
    shown = "" if given is None else f" ({given!r})"
    return NotPorted(f"taskflow.celery has no {what}{shown}: {REFUSED[what]}")
