"""The programs of docs/from-celery.md as they are printed there: Celery, taskflow, and both."""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.clients.boto3_sdk import connect
from tests.clients.catalog import ROOT
from tests.clients.celery_worker import LIMIT, WITHOUT, Worker, broker_url, working
from tests.clients.steps import Steps

PROGRAMS = ROOT / "docs/examples/from_celery"
QUEUES = {
    "before": ("charges", "mails", "reminders"),
    "after": ("charges", "mails", "reminders"),
    "both": ("mails",),
    "trap_before": ("trap",),
    "trap_after": ("trap",),
}
EFFECTS = ("charged ord_1", "mailed ord_1@example.com", "reminded ord_1@example.com")
# At least so often. What works for longer than the timeout runs twice and no more: an older handle
# deletes a message as well as the latest, as AWS was recorded to do.
TRAPPED = {"waited": 2, "failed at retry 1": 2, "failed at retry 2": 4, "worked": 2}
ONCE = ("failed at retry 0", "failed at retry 1", "failed at retry 2", "waited", "worked")


def main(endpoint: str) -> int:
    steps = Steps()
    packages = ("celery", "kombu", "taskflow-events", "boto3")
    steps.versions(", ".join(f"{name} {version(name)}" for name in packages))
    os.environ["SHOP_BROKER"] = broker_url(endpoint)
    os.environ["TASKFLOW_BROKER"] = f"aws://us-east-1?endpoint={endpoint}&prefix=after-"
    for handlers in ("after", "trap_after"):
        run("taskflow.cli", "topology", "apply", "-m", handlers)
    with tempfile.TemporaryDirectory() as name, ExitStack() as around:
        folder = Path(name)

        def start(module: str, *options: str) -> Worker:
            return around.enter_context(
                working((*command(module), *options), folder, module, PROGRAMS)
            )

        trapped, once, after = start("trap_before"), start("trap_after"), start("after")
        with working(command("before"), folder, "before", PROGRAMS) as before:
            place_orders(steps, before, after)
        steps.same("Celery's worker ends", before.code, 0)
        hand_over(steps, start("both"), after, endpoint)
        fall_into_the_trap(steps, trapped, once)
    return steps.end()


def command(program: str) -> tuple[str, ...]:
    """How the program's worker is started, but for `python -m`."""
    if program in ("after", "trap_after"):
        return "taskflow.cli", "worker", "-m", program, *QUEUES[program]
    celery = ("celery", "-A", program, "worker", "--queues", ",".join(QUEUES[program]))
    return *celery, "--concurrency", "4", "--loglevel", "INFO", *WITHOUT


def run(module: str, *words: str) -> None:
    """`python -m` that, beside the programs, to its end."""
    call = [sys.executable, "-m", module, *words]
    subprocess.run(call, cwd=PROGRAMS, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)


def place_orders(steps: Steps, before: Worker, after: Worker) -> None:
    """The traps are set here too, since they take longest."""
    for program in ("trap_before", "trap_after"):
        run(program)
    for name, worker in (("Celery", before), ("taskflow", after)):
        run("before" if worker is before else "after", "ord_1")
        steps.same(f"an order with {name}", worker.wait_for(*EFFECTS), True)
        steps.same("each effect once", sorted(worker.read()), sorted(EFFECTS))


def hand_over(steps: Steps, both: Worker, after: Worker, endpoint: str) -> None:
    """A message of Celery is worked on by taskflow."""
    from celery import Celery

    sender = Celery(broker=broker_url(endpoint))
    sender.conf.broker_transport_options = {"region": "us-east-1"}
    order = {"order_id": "ord_2", "email": "ord_2@example.com"}
    sender.send_task("before.send_mail", (order,), queue="mails")
    steps.same("a task handed over", after.wait_for("mailed ord_2@example.com"), True)
    steps.same("Celery's worker runs", both.process.poll(), None)
    sqs = connect("sqs", endpoint)
    url = sqs.get_queue_url(QueueName="after-mails-dlq")["QueueUrl"]
    steps.same("no dead letters", "Messages" in sqs.receive_message(QueueUrl=url), False)


def fall_into_the_trap(steps: Steps, trapped: Worker, once: Worker) -> None:
    """What Celery runs again and again, and taskflow once."""

    def again(lines: list[str]) -> bool:
        return all(lines.count(text) >= least for text, least in TRAPPED.items())

    steps.same("Celery past the visibility timeout", trapped.wait_until(again), True)
    lines = trapped.read()
    print(", ".join(f"{text} {lines.count(text)} times" for text in ONCE), flush=True)
    steps.same("taskflow past it", once.wait_for(*ONCE), True)
    steps.same("each once", sorted(once.read()), sorted(ONCE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
