"""`taskflow workflow`."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from taskflow import Broker, Worker
from taskflow.publisher import using
from taskflow.registry import default_registry
from taskflow.tasks.result import Result as TaskResult

Run = Callable[..., Result]

FLOWS = """
from taskflow import Run, task, workflow

broken = set()

@task(queue="flows", retries=0)
def pack(line: str) -> str:
    if line in broken:
        raise ValueError(f"no {line}")
    return line

@task(queue="flows", result="1d")
def plain() -> None: ...

def pay(order: str) -> str:
    if "pay" in broken:
        raise ValueError("declined")
    return "secret"

@workflow(queue="flows", retries=0, key="order")
def fulfil(ctx: Run, order: str) -> str:
    print("between the steps")
    ctx.step(pay, order)
    ctx.map(pack, ["a", "b"])
    picked = ctx.wait("picked.up", timeout="3d")
    return f"{order} {picked}"

@workflow(queue="flows", name="other")
def other(ctx: Run) -> None: ...
"""


class Flows:
    """The module `flows`, its runs, and a worker for them."""

    def __init__(self, broker: Broker) -> None:
        self.module = importlib.import_module("flows")
        self.broker = broker

    def work(self) -> None:
        Worker(self.broker).drain()

    def begin(self, order: str = "o1", **options: Any) -> str:
        """A run that waits for its signal, unless something is broken."""
        Worker(self.broker)
        with using(self.broker):
            run = self.module.fulfil.options(id=f"order-{order}", **options).delay(order)
            self.work()
        return str(run.id)


@pytest.fixture
def flows(folder: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Flows:
    monkeypatch.syspath_prepend(str(folder))
    (folder / "flows.py").write_text(FLOWS)
    return Flows(broker)


def state(broker: Broker, id: str) -> str:
    return TaskResult(id, broker=broker).state


# ---- list --------------------------------------------------------------------------------------
def test_the_list(run: Run, flows: Flows) -> None:
    assert run("workflow", "list").output == "no such runs\n"
    flows.begin()
    with using(flows.broker):
        flows.module.plain.delay()
        flows.module.other.delay()
    lines = run("workflow", "list").output.splitlines()
    assert lines[0].split() == ["ID", "WORKFLOW", "STATE", "KEY", "VERSION", "AGE(S)", "ERROR"]
    assert [line.split()[1:3] for line in lines[1:]] == [
        ["other", "waiting"],
        ["flows.fulfil", "suspended"],
    ]
    assert lines[2].split()[:5] == ["order-o1", "flows.fulfil", "suspended", "o1", "1"]
    (found,) = json.loads(run("workflow", "list", "--json", "--workflow", "flows.fulfil").stdout)
    assert list(found)[:2] == ["id", "workflow"]
    expected = {"workflow": "flows.fulfil", "key": "o1", "version": 1, "restarts": 0, "root": None}
    assert expected.items() <= found.items()
    assert found["awaits"] == ["picked.up"]


def test_what_the_list_may_be_asked(run: Run, flows: Flows) -> None:
    flows.begin("o1")
    flows.begin("o2")
    for options, count in (
        (["--state", "suspended"], 2),
        (["--state", "suspended", "--state", "done"], 2),
        (["--state", "failed"], 0),
        (["--since", "1h"], 2),
        (["--since", "2090-01-01T00:00:00Z"], 0),
        (["--workflow", "flows.fulfil", "--key", "o2"], 1),
        (["--workflow", "flows.fulfil", "--key", "o3"], 0),
        (["--workflow", "flows.nosuch"], 0),
        (["--limit", "1"], 1),
    ):
        result = run("workflow", "list", "--json", *options)
        assert len(json.loads(result.stdout)) == count, options
        assert ("--limit shows more" in result.stderr) is ("--limit" in options)
    for wrong, said in (
        (["--key", "o1"], "--key is one of a workflow; give --workflow too"),
        (["--since", "soon"], "--since is 'soon', which is no time"),
        (["--state", "asleep"], "'asleep' is not one of"),
    ):
        result = run("workflow", "list", *wrong)
        assert (result.exit_code, said in result.stderr) == (2, True)


# ---- show --------------------------------------------------------------------------------------
def test_a_run_is_shown_with_why_it_waits(run: Run, flows: Flows) -> None:
    id = flows.begin()
    run("workflow", "signal", id, "other.name")
    output = run("workflow", "show", id).output
    head, pay, called, first, second, wait, signal = output.splitlines()
    assert head.startswith("flows.fulfil order-o1: suspended (called 20")
    assert ", waits for the signal 'picked.up' until 20" in head
    assert pay.startswith("  ✓ pay (20")
    assert called.startswith("  ✓ map:flows.pack (20")
    assert first.startswith("    flows.pack order-o1.flows.pack.0: done (called 20")
    assert second.startswith("    flows.pack order-o1.flows.pack.1: done")
    assert wait.startswith("  … wait:picked.up (20")
    assert ", until 20" in wait
    assert signal == "  signal 'other.name' waits to be taken"
    assert "secret" not in output
    assert '      returned "secret"' in run("workflow", "show", id, "--bodies").output


def test_a_run_is_shown_as_data(run: Run, flows: Flows) -> None:
    flows.module.broken.add("b")
    id = flows.begin()
    found = json.loads(run("workflow", "show", id, "--json").stdout)
    assert (found["id"], found["state"], found["version"]) == (id, "failed", 1)
    assert [(one["id"], one["kind"]) for one in found["steps"]] == [
        ("pay", "step"),
        ("map:flows.pack", "runs"),
    ]
    assert "result" not in found["steps"][0]
    child = found["steps"][1]["runs"][1]
    assert (child["state"], child["error"]) == (
        "failed",
        {"type": "ValueError", "message": "no b"},
    )
    whole = json.loads(run("workflow", "show", id, "--json", "--bodies").stdout)
    assert whole["steps"][0]["result"] == "secret"
    assert "raise ValueError" in whole["steps"][1]["runs"][1]["error"]["traceback"]
    text = run("workflow", "show", id).output
    assert "): ValueError: no b\n" in text
    assert "Traceback" not in text
    assert "Traceback" in run("workflow", "show", id, "--bodies").output


def test_a_run_is_drawn(run: Run, flows: Flows) -> None:
    id = flows.begin()
    lines = run("workflow", "show", id, "--mermaid").output.splitlines()
    assert lines[0] == "flowchart TD"
    assert any("pay" in line for line in lines)
    assert run("workflow", "show", id, "--mermaid", "--json").exit_code == 2


# ---- signal ------------------------------------------------------------------------------------
def test_a_signal_is_taken(run: Run, flows: Flows) -> None:
    id = flows.begin()
    for _ in range(2):  # the same id is the same signal
        result = run("workflow", "signal", id, "picked.up", '{"by": "dpd"}', "--id", "s1")
        assert (result.exit_code, result.output) == (0, f"told {id}\n")
    flows.work()
    assert TaskResult(id, broker=flows.broker).get(0) == "o1 {'by': 'dpd'}"
    result = run("workflow", "signal", id, "picked.up")
    assert result.exit_code == 1
    assert result.stderr == f"Error: run '{id}' has ended (done), and takes no signals\n"


def test_a_signal_that_cannot_be(run: Run, flows: Flows) -> None:
    flows.begin()
    with using(flows.broker):
        flows.module.plain.options(id="plain").delay()
    for arguments, code, said in (
        (["nosuch", "go"], 1, "there is no run 'nosuch', or not any more"),
        (["order-o1", "go", "{by: dpd}"], 2, "the payload is no JSON: "),
        (["order-o1", "go", "dpd"], 2, """text is written with quotes: '"dpd"'"""),
        (["order-o1", "two\nlines"], 2, "the name of a signal"),
        (["order-o1", ""], 2, "the name of a signal"),
        (["order-o1", "go", "1", "--id", "a\nb"], 2, "--id"),
        (["plain", "go"], 2, "run 'plain' is one of task flows.plain, which is no workflow"),
    ):
        result = run("workflow", "signal", *arguments)
        assert (result.exit_code, said in result.stderr) == (code, True), arguments


# ---- cancel ------------------------------------------------------------------------------------
def test_cancelling_cascades(run: Run, flows: Flows) -> None:
    Worker(flows.broker)
    with using(flows.broker):
        flows.module.fulfil.options(id="o").delay("o1")
    Worker(flows.broker).step(limit=1)  # its child runs wait now
    assert state(flows.broker, "o.flows.pack.0") == "waiting"
    assert run("workflow", "cancel", "o").output == "cancelled o\n"
    assert [state(flows.broker, f"o{part}") for part in ("", ".flows.pack.0")] == ["cancelled"] * 2
    again = run("workflow", "cancel", "o", "nosuch")
    assert again.exit_code == 1
    assert again.stdout == "has ended before: o\n"
    assert again.stderr == "Error: there is no run 'nosuch', or not any more\n"


# ---- retry and fork ----------------------------------------------------------------------------
def test_a_failed_run_goes_on(run: Run, flows: Flows) -> None:
    flows.module.broken.add("b")
    id = flows.begin()
    flows.module.broken.clear()
    assert run("workflow", "retry", id).output == f"goes on: {id}\n"
    flows.work()
    assert state(flows.broker, id) == "suspended"
    refused = run("workflow", "retry", id)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"Error: run '{id}' has not failed; it is suspended\n",
    )
    assert run("workflow", "retry", "nosuch").exit_code == 1


def test_a_fork(run: Run, flows: Flows) -> None:
    id = flows.begin()
    made = run("workflow", "fork", id, "--from", "map:flows.pack", "--id", "again")
    assert (made.exit_code, made.output) == (0, "again\n")
    flows.work()
    assert state(flows.broker, "again") == "suspended"
    other = run("workflow", "fork", id).stdout.strip()
    assert state(flows.broker, other) == "waiting"
    wrong = run("workflow", "fork", id, "--from", "pya")
    assert wrong.exit_code == 2
    assert "has kept no step 'pya'; it has pay, map:flows.pack, wait:picked.up" in wrong.stderr
    assert run("workflow", "fork", "nosuch").exit_code == 1
    taken = run("workflow", "fork", id, "--id", "again")
    assert (taken.exit_code, "run 'again' exists" in taken.stderr) == (2, True)


# ---- check -------------------------------------------------------------------------------------
def test_code_is_checked_against_runs(run: Run, flows: Flows) -> None:
    id = flows.begin()
    same = run("workflow", "check", "--replay", "10", "-m", "flows")
    assert (same.exit_code, same.stdout) == (0, "1 runs tried, 0 would go another way\n")
    assert "between the steps" in same.stderr
    entries = default_registry.engines[0].tasks  # type: ignore[attr-defined]
    code = FLOWS.replace("ctx.step(pay, order)", "ctx.options(name='charge').step(pay, order)")
    entries._tasks.clear()
    default_registry._by_queue.clear()
    exec(compile(code, "flows.py", "exec"), vars(flows.module))
    changed = run("workflow", "check", "flows.fulfil", "-m", "flows")
    assert changed.exit_code == 1
    head, line, last = changed.stdout.splitlines()
    assert head == f"flows.fulfil {id} (suspended, 3 steps):"
    assert line.startswith("  charge: it is a step now, and nothing is kept of it, though of pay,")
    assert last == "1 runs tried, 1 would go another way"
    (found,) = json.loads(run("workflow", "check", "--json", "-m", "flows").stdout)
    assert (found["run"], len(found["drift"])) == (id, 1)


def test_a_workflow_that_is_not_there(run: Run, flows: Flows) -> None:
    near = run("workflow", "check", "flows.fulfill", "-m", "flows")
    assert (near.exit_code, "did you mean 'flows.fulfil'?" in near.stderr) == (2, True)
    far = run("workflow", "check", "xyz", "-m", "flows")
    assert "there are flows.fulfil, other" in far.stderr
