"""`taskflow result`, `taskflow cancel` and `taskflow runs`."""

import json
import re
from collections.abc import Callable

import pytest
from click.testing import Result

from taskflow import Broker
from taskflow.tasks.run import load

Run = Callable[..., Result]
JOBS = ("-m", "jobs")


@pytest.fixture
def call(run: Run, broker: Broker) -> Callable[..., str]:
    """Call a task of `jobs`; answers the id."""

    def call(task: str, *arguments: str) -> str:
        result = run("call", *JOBS, *arguments[1:], f"jobs.{task}", "--", *arguments[:1])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    return call


@pytest.fixture
def work(run: Run) -> Callable[[], None]:
    """Run what waits."""

    def work() -> None:
        result = run("worker", "--burst", "--concurrency", "1", *JOBS)
        assert result.exit_code == 0, result.output

    return work


Call = Callable[..., str]
Work = Callable[[], None]


# ---- result -------------------------------------------------------------------------------------
def test_a_result_says_all_that_is_known(run: Run, call: Call, work: Work) -> None:
    id = call("count", "10", "--key", "k")
    before = json.loads(run("result", id, "--json").stdout)
    assert (before["state"], before["finished_at"], before["progress"]) == ("waiting", None, None)
    work()
    found = json.loads(run("result", id, "--json").stdout)
    expected = {
        "id": id,
        "task": "jobs.count",
        "queue": "default",
        "state": "done",
        "key": "k",
        "attempts": 1,
        "progress": {"done": 5.0, "total": 10.0, "note": "half"},
        "error": None,
        "args": [10],
        "kwargs": {},
        "result": 10,
    }
    assert expected.items() <= found.items()
    assert found["finished_at"] >= found["created_at"]
    lines = run("result", id).stdout.splitlines()
    assert {"state: done", "attempts: 1", "progress: 5 of 10 half", "result: 10"} <= set(lines)
    assert any(re.fullmatch(r"finished_at: 20\d\d-.*Z", line) for line in lines)


def test_a_failure_is_shown_with_its_traceback(run: Run, call: Call, work: Work) -> None:
    id = call("add", "-1")
    work()
    shown = run("result", id)
    assert shown.exit_code == 0
    assert "error: ValueError: below 0\\nsecond line\n  Traceback" in shown.stdout
    found = json.loads(run("result", id, "--json").stdout)
    assert (found["state"], found["error"]["type"]) == ("failed", "ValueError")
    assert "in add" in found["error"]["traceback"]


def test_with_wait_the_exit_code_says_how_it_ended(run: Run, call: Call, work: Work) -> None:
    done, failed, waiting = call("add", "1"), call("add", "-1"), call("add", "1", "--delay", "1h")
    work()
    ends = [run("result", id, "--wait", "--timeout", "0") for id in (done, failed, waiting)]
    assert [one.exit_code for one in ends] == [0, 1, 124]
    assert all("state: " in one.stdout for one in ends)
    assert f"run '{waiting}' is scheduled after 0 s" in ends[2].stderr


@pytest.mark.parametrize("flags", [(), ("--json",), ("--wait",)])
def test_an_unknown_run_exits_1(run: Run, broker: Broker, flags: tuple[str, ...]) -> None:
    result = run("result", "nosuch", *flags)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: there is no run 'nosuch', or not any more\n"


def test_a_timeout_of_nothing_is_bad_input(run: Run, broker: Broker) -> None:
    assert run("result", "x", "--timeout", "5").exit_code == 2


# ---- cancel -------------------------------------------------------------------------------------
def test_cancel_ends_what_waits(run: Run, call: Call, work: Work, broker: Broker) -> None:
    kept, bare, done = call("add", "1"), call("send", "x"), call("add", "2", "--id", "r2")
    assert run("cancel", kept, bare).stdout == f"cancelled {kept}\ncancelled {bare}\n"
    work()
    assert [one.state for one in load(broker, [kept, done]).values()] == ["cancelled", "done"]
    again = run("cancel", kept, done)
    assert (again.exit_code, again.stdout) == (
        0,
        f"has ended before: {kept}\nhas ended before: {done}\n",
    )


def test_cancel_of_what_is_not_there_exits_1_and_cancels_the_others(
    run: Run, call: Call, broker: Broker
) -> None:
    broker.create_topic("t")
    broker.subscribe("t", "plain")
    event = run("publish", "t", "1").stdout.strip()
    kept = call("add", "1")
    result = run("cancel", "nosuch", event, kept)
    assert (result.exit_code, result.stdout) == (1, f"cancelled {kept}\n")
    assert (
        "Error: no run 'nosuch', or not any more, and no queue holds such a call" in result.stderr
    )
    assert f"no run '{event}'" in result.stderr, "an event is no call"
    assert broker.count_records("cancel") == {}


def test_cancel_wants_an_id(run: Run, broker: Broker) -> None:
    assert run("cancel").exit_code == 2


# ---- runs ---------------------------------------------------------------------------------------
@pytest.fixture
def several(call: Call, work: Work) -> dict[str, str]:
    """A run in each of some states, by its state."""
    found = {"done": call("add", "1"), "failed": call("add", "-1")}
    work()
    found["waiting"] = call("count", "1", "--key", "k")
    found["scheduled"] = call("count", "1", "--delay", "10m")
    found["later"] = call("send", "x", "--delay", "30d")
    return found


def test_runs_come_newest_first(run: Run, several: dict[str, str]) -> None:
    heads, *lines = run("runs").stdout.splitlines()
    assert heads.split() == ["ID", "TASK", "STATE", "AGE(S)", "ATTEMPTS", "ERROR"]
    assert [line.split()[0] for line in lines] == list(several.values())[::-1]
    id, task, state, _, attempts, error = lines[-2].split()
    assert (id, task, state, attempts, error) == (
        several["failed"],
        "jobs.add",
        "failed",
        "1",
        "ValueError",
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "failed"], ["failed"]),
        (["--state", "waiting"], ["waiting"]),
        (["--state", "scheduled"], ["later", "scheduled"]),
        (["--state", "done", "--state", "failed"], ["failed", "done"]),
        (["--task", "jobs.count"], ["scheduled", "waiting"]),
        (["--task", "jobs.nosuch"], []),
        (["--task", "jobs.count", "--key", "k"], ["waiting"]),
        (["--task", "jobs.count", "--key", "k", "--state", "done"], []),
        (["--task", "jobs.add", "--key", "k"], []),
        (["--since", "1h", "--limit", "2"], ["later", "scheduled"]),
        (["--since", "2100-01-31T12:00:00Z"], []),
        (["--since", "4105080000"], []),
        (["--task", "jobs.count", "--key", "k", "--since", "4105080000"], []),
    ],
)
def test_runs_may_be_filtered(
    run: Run, several: dict[str, str], options: list[str], found: list[str]
) -> None:
    result = run("runs", "--json", *options)
    assert [one["id"] for one in json.loads(result.stdout)] == [several[name] for name in found]
    assert ("newest 2" in result.stderr) == ("--limit" in options)


def test_json_holds_no_bodies(run: Run, several: dict[str, str]) -> None:
    (failed,) = json.loads(run("runs", "--json", "--state", "failed").stdout)
    assert failed["error"] == {"type": "ValueError", "message": "below 0\nsecond line"}
    assert not {"args", "kwargs", "result"} & failed.keys()


def test_without_runs_it_says_so(run: Run, broker: Broker) -> None:
    assert run("runs").stdout == "no such runs\n"
    assert run("runs", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--key", "k"], "--key is one of a task; give --task too"),
        (["--state", "ended"], "'ended' is not one of 'scheduled', 'waiting'"),
        (["--since", "noon"], "--since is 'noon', which is no time"),
        (["--limit", "0"], "0 is not in the range"),
    ],
)
def test_bad_options_exit_2(run: Run, broker: Broker, options: list[str], reason: str) -> None:
    result = run("runs", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
