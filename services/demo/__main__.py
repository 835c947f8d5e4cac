"""Plays the demo: `python -m services.demo`, or `make demo`.

It needs nothing configured. With POSTGRES_SERVER (`make demo DEMO=postgres`) the broker and all
databases but the audit log are at that server, the broker in that of the orders. It exits with 0
only when every expected effect was seen, and stops all that it started.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.demo.company import Company, command
from services.demo.customer import call, place_orders
from services.demo.databases import make_databases
from services.demo.mail_server import MailServer
from services.demo.parcel import WORKER, ship
from services.demo.stage import Stage, check
from services.demo.trace_tree import read_traces, tree, whole_way

DATABASES = ("order", "payment", "fulfilment", "notification")
# Three order.created and an order.refunded are mailed; these, order.cancelled, payment.refunded and
# order.fulfilled audited; one refund made, one noted.
HANDLED = {"notifications": 4, "audit": 7, "refunds": 1, "orders": 1}


def places_in(folder: Path) -> dict[str, str]:
    """The broker and the databases, in files."""
    names = {
        "TASKFLOW_BROKER": "broker",
        **{f"{name.upper()}_DATABASE": name for name in DATABASES},
    }
    return {variable: f"sqlite:///{folder}/{name}.db" for variable, name in names.items()}


def environment_in(folder: Path, mail: str, places: Mapping[str, str]) -> dict[str, str]:
    """Everything in fresh places, on free ports."""
    return {
        **os.environ,
        **places,
        "ORDER_PORT": "0",
        "PAYMENT_PORT": "0",
        "NOTIFICATION_SMTP_URL": mail,
        "AUDIT_DATABASE": f"sqlite:///{folder}/audit.db",
        "AUDIT_CHECKPOINTS": f"{folder}/audit.checkpoints",
        "PYTHONUNBUFFERED": "1",
    }


def play(folder: Path, traces: bool) -> None:
    """Start everything, place four orders, ship one, check every effect, stop everything; then
    show the trace of an order, if there are traces."""
    stage = Stage()
    mail = MailServer(stage)
    server = os.environ.get("POSTGRES_SERVER")
    places = make_databases(server, DATABASES) if server else places_in(folder)
    environment = environment_in(folder, mail.start(), places)
    before = ("-m", "services.demo.traced", str(folder)) if traces else ()
    company = Company(stage, environment, before)
    try:
        stage.say("demo", "declares topics, queues and subscriptions")
        print(command(environment, "topology", "apply"))
        company.start("payment", "-m", "services.payment")
        company.start("notifications", "cli.py", "worker", "notifications")
        company.start("audit", "cli.py", "worker", "audit", "refunds", "orders")
        payment = stage.wait_for("payment", r"listens on (\S+)")[1]
        environment["ORDER_PAYMENT_ADDRESS"] = environment["FULFILMENT_PAYMENT_ADDRESS"] = payment
        company.start("order", "-m", "services.order")
        company.start(*WORKER)
        url = "http://" + stage.wait_for("order", r"listens on (\S+)")[1]
        for worker in ("notifications", "audit", "fulfilment"):
            stage.wait_for(worker, "working on")
        order = place_orders(stage, url)
        ship(stage, company, environment["TASKFLOW_BROKER"], order)
        show_effects(stage, url, environment, mail)
    finally:
        stage.say("demo", "stops everything")
        bad = company.stop()
        mail.stop()
    check("every process stopped cleanly" + "".join(f" ({one})" for one in bad), not bad)
    if traces:
        spans = whole_way(read_traces(folder))
        print(f"\nthe trace of an order: when each span began, and how long it took\n{tree(spans)}")
        check("one trace goes from POST /orders over gRPC to the e-mail", bool(spans))


def show_effects(stage: Stage, url: str, environment: dict[str, str], mail: MailServer) -> None:
    """What the operator and the customer see afterwards."""

    def stats() -> Any:
        return call("GET", f"{url}/stats")[1]

    def settled() -> bool:
        now = stats()
        return _handled(now) == HANDLED and not _left(now)

    stage.wait_until(f"{HANDLED} handled, nothing left", settled)
    found = stats()
    print("\nGET /stats\n" + json.dumps(found, indent=2))
    print("\ncli.py queues\n" + command(environment, "queues"))
    print("the e-mail\n" + mail.mails[0].decode().partition("Content-Type: text/html")[0])
    audit = command(environment, "audit", "verify")
    print(f"cli.py audit verify\n{audit}")
    check("two orders are paid", found["orders"]["paid"] == 2)
    check("one was refunded", found["orders"]["refunded"] == 1)
    check("one was declined", found["orders"]["declined"] == 1)
    check("every event reached every queue", _handled(found) == HANDLED)
    check("nothing is left in a queue, nothing in a dead-letter queue", not _left(found))
    check("each customer got an e-mail, and one about a refund", len(mail.mails) == 4)
    check("the audit log is intact and holds all", audit.startswith("intact: 7 entries"))


def _handled(found: Any) -> dict[str, int]:
    """Of the queues whose messages are events alone: how often a run goes on is its own affair."""
    return {name: found["queues"][name]["handled"] for name in HANDLED}


def _left(found: Any) -> bool:
    return any(
        queue[state] for queue in found["queues"].values() for state in ("visible", "in_flight")
    )


def main() -> None:
    """Play the demo in a temporary folder; `--traces` with the trace of an order."""
    with tempfile.TemporaryDirectory(prefix="taskflow-demo-") as folder:
        play(Path(folder), "--traces" in sys.argv[1:])
    print("\nThe demo saw every expected effect.")


if __name__ == "__main__":
    main()
