"""The fulfilment of one order in the demo: its worker is killed while it is under way."""

from contextlib import closing

from services.demo.company import Company
from services.demo.stage import Stage, check
from taskflow import WorkflowResult, open_broker, publish

WORKER = "fulfilment", "cli.py", "worker", "fulfilment"


def ship(stage: Stage, company: Company, address: str, order_id: str) -> None:
    """Kill the worker while the order waits for its parcel, start another one, and ship."""
    with closing(open_broker(address)) as broker:
        run = WorkflowResult[str](f"fulfil-{order_id}", broker=broker)

        def quiet() -> bool:  # else another order's work waits for the lease of the dead
            counts = broker.counts("fulfilment")
            return not (counts.visible or counts.in_flight or counts.delayed)

        stage.wait_until("fulfilment at rest", quiet)
        check("the order waits for its parcel, in no worker", run.state == "suspended")
        print(f"\nthe order's run, before its worker is killed\n{run.tree()}\n")
        stage.say("demo", "kills the worker of fulfilment with SIGKILL, and starts another one")
        company.kill("fulfilment")
        company.start(*WORKER)
        stage.say("demo", f"publishes parcel.shipped of {order_id}")
        parcel = {"order_id": order_id, "tracking_number": "1Z999AA10123456784"}
        publish("parcel.shipped", parcel, source="warehouse", subject=order_id, broker=broker)
        stage.wait_until(f"{run.id} ends", lambda: run.ready)
        print(f"\nand after it\n{run.tree()}\n")
        check("the order was fulfilled by another worker", run.get(0) == "fulfilled")
        reserved = [step.id for step in run.tree().steps].count("reserve")
        check("what the killed worker had reserved was not reserved again", reserved == 1)
