"""Runs of workflows: the list, a run as a tree, and what is done with them."""

import pytest

from taskflow import Broker, Registry, Run, Worker, workflow
from taskflow.dashboard.visitor_rights import READ
from taskflow.errors import StepFailed
from taskflow.tasks.run import load
from taskflow.workflows.tree import tree_of
from tests.taskflow.dashboard.site_client import Client, words


@pytest.fixture
def broken(taskflow_broker: Broker) -> set[str]:
    """Two runs: `r-waits`, which waits for a signal, and `r-fails`. What is in this set fails."""
    registry, broken = Registry(), {"fails"}

    def pay(order: str) -> str:
        if order in broken:
            raise ValueError(f"declined {order}, token=abcd1234")
        return "receipt-vermilion"

    @workflow(queue="flows", retries=0, registry=registry)
    def fulfil(ctx: Run, order: str) -> None:
        ctx.step(pay, order)
        ctx.wait("picked.up", timeout="3d")

    worker = Worker(taskflow_broker, registry=registry)
    for order in ("waits", "fails"):
        fulfil.options(id=f"r-{order}").delay(order)
        worker.drain()
    return broken


def test_the_failed_come_first_and_a_run_says_why_it_waits(
    taskflow_broker: Broker, broken: set[str]
) -> None:
    client = Client(taskflow_broker)
    assert "1 run of" in client.text("/")
    text = client.text("/workflows")
    assert "1 run failed of 2 kept" in text
    assert "r-fails" in text
    assert "r-waits" not in text
    assert "r-waits" in client.text("/workflows", q="state:waits")
    assert client.get("/workflows", q="state:lost").status == 400
    text = client.text("/workflows/r-waits")
    assert "waits for the signal 'picked.up'" in text
    assert "It holds no worker while it waits." in text
    assert "receipt-vermilion" in text
    failed = client.text("/workflows/r-fails")
    assert "declined fails" in failed
    assert "abcd1234" not in failed
    reader = Client(taskflow_broker, READ).text("/workflows/r-fails")
    assert "declined" not in reader
    assert "Not shown: role bodies is needed." in reader


def test_runs_are_retried_and_cancelled(taskflow_broker: Broker, broken: set[str]) -> None:
    client = Client(taskflow_broker)
    page = client.press("/workflows", "retry-runs", id=[f"r-{n}" for n in range(11)])
    assert "Retry 11 runs?" in words(page.body.decode())
    done = client.press("/workflows", "retry-runs", id=["r-fails"])
    assert "1 of 1 run retried." in client.follow(done)
    page = client.press("/workflows/r-waits", "cancel-runs")
    assert "1 of 1 run cancelled." in client.follow(client.confirm(page))
    rows = load(taskflow_broker, ["r-fails", "r-waits"])
    assert (rows["r-fails"].state, rows["r-waits"].state) == ("waiting", "cancelled")
    text = client.text("/record")
    assert "retry run" in text
    assert "cancel run" in text


def test_a_run_is_told_something_and_another_is_begun_like_it(
    taskflow_broker: Broker, broken: set[str]
) -> None:
    client = Client(taskflow_broker)
    assert "picked.up" in client.text("/workflows?q=").partition("What they wait for")[2]
    path = "/workflows/r-waits"
    assert client.press(path, "signal-run", name="picked.up", payload="{").status == 422
    page = client.press(path, "signal-run", name="picked.up", payload='{"by":\r\n "dpd"}')
    assert 'With {"by":"dpd"}' in words(page.body.decode())
    assert "It was told picked.up." in client.follow(client.confirm(page))
    (step, *_) = tree_of(taskflow_broker, "r-waits").steps
    assert client.press(path, "fork-run", step="nothing").status == 404
    page = client.press(path, "fork-run", step=step.id)
    assert f"from before {step.id}?" in words(page.body.decode())
    assert "Begun as" in client.follow(client.confirm(page))
    text = client.text("/record")
    assert "signal" in text
    assert "fork" in text
    assert "dpd" not in text


def test_no_error_on_a_page_quotes_what_a_step_returned_or_a_child_run_was_called_with(
    taskflow_broker: Broker,
) -> None:
    registry = Registry()

    def log_in() -> dict[str, str]:
        return {"token": "opal-9417", "user": "ada"}

    def refuse(session: dict[str, str]) -> None:
        raise ValueError(f"not with {session['token']} of {session['user']}")

    @workflow(queue="flows", retries=0, registry=registry)
    def charge(ctx: Run, *, card: str) -> None:
        raise ValueError(f"declined {card}")

    @workflow(queue="flows", retries=0, registry=registry)
    def order(ctx: Run) -> None:
        session = ctx.step(log_in)
        try:
            ctx.step(refuse, session)
        except StepFailed:
            ctx.call(charge, card=session["token"].replace("opal", "jade"))

    worker = Worker(taskflow_broker, registry=registry)
    order.options(id="r").delay()
    worker.drain()
    text = Client(taskflow_broker).text("/workflows/r")
    assert "not with …hidden… of ada" in text
    assert "declined …hidden…" in text
    assert "opal-9417" not in text
    assert "jade-9417" not in text
