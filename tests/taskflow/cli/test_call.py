"""`taskflow call`, and what waiting at a terminal shows."""

import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import Result

import taskflow
from taskflow import Broker, Context, Registry, Worker, task
from taskflow.cli.awaiting import get_with_bar
from taskflow.cli.modules import load_registry
from taskflow.errors import ResultTimeout, RunFailed
from taskflow.publisher import using
from taskflow.tasks.run import Row, load
from taskflow.tasks.task_body import read_body
from taskflow.tasks.task_context import TaskContext
from taskflow.topology import declare

Run = Callable[..., Result]
JOBS = ("-m", "jobs")


@pytest.fixture(autouse=True)
def declared(broker: Broker) -> None:
    declare(broker, _registry())


@contextmanager
def working(messages: int = 1) -> Iterator[None]:
    """A worker of its own over the file, for so many messages."""
    address = "sqlite:///taskflow.db?durability=process"
    with closing(taskflow.open_broker(address)) as broker:
        worker = Worker(broker, registry=_registry())

        def work() -> None:
            left = messages
            while left > 0:
                left -= len(worker.step(limit=1, wait=10))

        thread = threading.Thread(target=work)
        thread.start()
        yield
        thread.join(20)
        assert not thread.is_alive()


def _registry() -> Registry:
    sys.path.insert(0, str(Path.cwd()))
    return load_registry(["jobs"])


def run_of(broker: Broker, output: str) -> Row:
    return load(broker, [output.strip()])[output.strip()]


# ---- what is called -----------------------------------------------------------------------------
def test_it_prints_the_id_of_the_run(run: Run, broker: Broker) -> None:
    result = run("call", "jobs.add", "1", "2", *JOBS)
    assert (result.exit_code, result.stderr) == (0, "")
    row = run_of(broker, result.stdout)
    assert (row.run.task, row.run.queue, row.state) == ("jobs.add", "default", "waiting")
    assert (bytes(row.run.args), row.run.keep) == (b"[1,2]", 3600)


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["ord_1"], ["ord_1"], {}),
        (["1"], ["1"], {}),  # `to` is text
        (['"1"'], ["1"], {}),
        (
            ["x", "null", "true", "[1, {}]", '{"a": 1.5}'],
            ["x", None, True, [1, {}], {"a": 1.5}],
            {},
        ),
        (["{'a': 1}", "NaN", ""], ["{'a': 1}", "NaN", ""], {}),
        (["ñ", "--kwargs", '{"cc": "x", "n": [1]}'], ["ñ"], {"cc": "x", "n": [1]}),
        (["--kwargs", '{"to": "x"}'], [], {"to": "x"}),
        (["x", "--", "-5"], ["x", -5], {}),
        (["x", "123456789012345678901234567890"], ["x", 123456789012345678901234567890], {}),
    ],
)
def test_each_argument_is_json_or_text_where_the_task_takes_text(
    run: Run, broker: Broker, words: list[str], args: list[object], kwargs: dict[str, object]
) -> None:
    result = run("call", *JOBS, "jobs.send", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    (message,) = broker.peek("mails")
    body = json.loads(message.body)
    assert (body["task"], body["args"], body.get("kwargs", {})) == ("jobs.send", args, kwargs)
    assert result.stdout == f"{message.id}\n"


def test_a_task_that_is_not_here_is_called_by_its_name(run: Run, broker: Broker) -> None:
    result = run("call", "jobs.sent", "x", *JOBS)
    assert result.exit_code == 0
    assert "no module here defines task 'jobs.sent' (did you mean 'jobs.send'?)" in result.stderr
    result = run("call", "far.away", "x", "--queue", "mails")
    assert "no module here defines task 'far.away'; --module names" in result.stderr
    assert "its arguments were not checked" in result.stderr
    assert read_body(broker.peek("default")[0]).task == "jobs.sent"
    assert read_body(broker.peek("mails")[0]).task == "far.away"


def test_the_queue_of_a_task_that_is_here_is_declared(run: Run) -> None:
    address = ("--broker", "sqlite:///new.db")
    assert run("call", "jobs.send", "x", *JOBS, *address).exit_code == 0
    found = json.loads(run("queues", "--json", *address).output)
    assert {one["name"]: one["visible"] for one in found}["mails"] == 1
    unknown = run("call", "far.away", "--broker", "sqlite:///another.db")
    assert (unknown.exit_code, unknown.stdout) == (1, "")


def test_options_of_the_call(run: Run, broker: Broker) -> None:
    options = ["--delay", "15m", "--expires", "2h", "--key", "k", "--id", "r1", "--result", "1d"]
    options += ["--priority", "high"]
    assert run("call", "jobs.send", "x", *JOBS, "--queue", "bulk", *options).stdout == "r1\n"
    run_ = run_of(broker, "r1").run
    (message,) = broker.peek("bulk")
    assert message.visible_at == pytest.approx(message.sent_at + 900, abs=0.01)
    assert run_.expires_at == pytest.approx(message.sent_at + 7200, abs=1)
    assert (run_.key, run_.keep) == ("task/jobs.send/k", 86400)
    assert (run_.priority, message.priority) == ("high", "high")


@pytest.mark.parametrize("at", ["2100-01-31T12:00:00Z", "2100-01-31T13:00:00+01:00", "4105080000"])
def test_it_may_be_due_at_a_time(run: Run, broker: Broker, at: str) -> None:
    row = run_of(broker, run("call", "jobs.send", "x", *JOBS, "--at", at).stdout)
    assert (row.state, row.due_at) == ("scheduled", 4105080000)


def test_what_was_there_before_is_said(run: Run) -> None:
    call = ("call", "jobs.add", "1", *JOBS)
    first = run(*call, "--key", "k")
    second = run(*call, "--key", "k")
    assert second.stdout == first.stdout
    assert (first.stderr, "there was one already" in second.stderr) == ("", True)
    assert run(*call, "--id", "r1").exit_code == 0
    other = run("call", "jobs.add", "2", *JOBS, "--id", "r1")
    assert (other.exit_code, other.stdout) == (0, "r1\n")
    assert "Warning: run 'r1' of jobs.add is there with other arguments" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["jobs.add"], r"jobs.add\(x: int, y: int = 1\) -> int: missing a required argument: 'x'"),
        (["jobs.add", "1", "2", "3"], "too many positional arguments"),
        (["jobs.add", "1", "--kwargs", '{"z": 1}'], "unexpected keyword argument 'z'"),
        (["jobs.add", "one"], "jobs.add: argument 'x': .* Expected `int`, got `str`"),
        (["jobs.add", "1", "2.5"], "jobs.add: argument 'y': .* Expected `int`, got `float`"),
        (
            ["jobs.add", "1", "--kwargs", '{"y": null}'],
            "argument 'y': .* Expected `int`, got `null`",
        ),
        (["jobs.add", "[" * 100_000 + "]" * 100_000], "argument 1 is nested too deep"),
        (["jobs.paint", '{"name": "x"}'], "jobs.paint: KeyError: 'no such colour'"),
        (["jobs.add", "1", "--kwargs", "[1]"], "--kwargs is no JSON object"),
        (["jobs.add", "1", "--kwargs", '{"y": }'], "--kwargs is no JSON object"),
        (["jobs.add", "1", "--queue", "other"], "has no queue 'other'; its queues are default"),
        (["jobs.add", "1", "--delay", "1m", "--at", "4105080000"], "delay or at, not both"),
        (["jobs.add", "1", "--at", "noon"], "--at is 'noon', which is no time; write 2026"),
        (["jobs.add", "1", "--at", "2026-01-31T12:00"], "has no time zone"),
        (["jobs.add", "1", "--at", "inf"], "--at is 'inf', which is no time"),
        (["jobs.add", "1", "--result", "0"], "result is 0.0; more than 0"),
        (["jobs.add", "1", "--key", ""], "key has 0 characters"),
        (["jobs.add", "1", "--id", "a\nb"], r"--id holds U\+000A"),
        (["jobs.add", "1", "--timeout", "5"], "--timeout is how long --wait waits"),
        (["jobs.add", "\udcff"], "no UTF-8"),
        (["jobs.add", "-5"], "No such option"),
        (["far.away", "1", "--queue", "nosuch"], "no queue named 'nosuch'"),
        ([], "Missing argument 'TASK'"),
    ],
)
def test_bad_input_exits_2_with_the_reason_and_calls_nothing(
    run: Run, broker: Broker, arguments: list[str], reason: str
) -> None:
    result = run("call", *JOBS, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(f"^Error: .*{reason}", result.stderr, re.MULTILINE | re.DOTALL)
    assert broker.count_records("run") == {}
    assert [broker.counts(name).visible for name in ("default", "mails", "bulk")] == [0, 0, 0]


# ---- waiting ------------------------------------------------------------------------------------
def test_wait_prints_the_result(run: Run) -> None:
    with working():
        result = run("call", "jobs.add", "1", "2", *JOBS, "--wait", "--timeout", "20")
    assert (result.exit_code, result.stdout) == (0, "3\n")
    assert re.fullmatch(r"[0-9a-f-]{36}\n", result.stderr), "the id, and no bar"


@pytest.mark.parametrize("flag", [(), ("-v",)])
def test_a_failure_exits_1_and_says_with_what(run: Run, flag: tuple[str, ...]) -> None:
    with working():
        result = run("call", *JOBS, "--wait", *flag, "jobs.add", "--", "-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(
        r"^Error: run '\S+' of jobs.add failed: ValueError: below 0", result.stderr, re.M
    )
    assert ("Traceback" in result.stderr) == bool(flag)


def test_a_task_that_keeps_no_result_keeps_it_for_who_waits(run: Run, broker: Broker) -> None:
    with working():
        result = run("call", "jobs.send", "x", *JOBS, "--wait")
    assert (result.exit_code, result.stdout) == (0, "sent x () []\nnull\n"), "it printed, too"
    assert broker.count_records("run") == {"done": 1}


def test_what_has_not_ended_in_time_exits_124(run: Run) -> None:
    result = run("call", "jobs.add", "1", *JOBS, "--wait", "--timeout", "0")
    assert (result.exit_code, result.stdout) == (124, "")
    id, said = result.stderr.splitlines()
    assert said == f"Error: run '{id}' is waiting after 0 s; `taskflow result {id} --wait`"


class Terminal(io.StringIO):
    """What click takes for one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_far_it_is(taskflow_registry: Registry) -> None:
    seen = threading.Event()

    class Screen(Terminal):
        def write(self, text: str) -> int:
            if "half" in text and "50%" in text:
                seen.set()
            return super().write(text)

    @task(registry=taskflow_registry, result="1h", name="half")
    def half(ctx: Context) -> int:
        assert isinstance(ctx, TaskContext)
        ctx.progress(5, 10, "half")
        assert seen.wait(20)
        return 7

    screen = Screen()
    with closing(taskflow.open_broker("memory://")) as broker, using(broker):
        worker = Worker(broker, registry=taskflow_registry)
        made = half.delay()
        thread = threading.Thread(target=worker.drain)
        thread.start()
        result: taskflow.Result[msgspec.Raw]
        result = taskflow.Result(made.id, broker=broker, returns=msgspec.Raw)
        found = get_with_bar(result, 20, screen)
        thread.join(20)
    assert bytes(found) == b"7"
    assert "100%" in screen.getvalue()


def test_a_terminal_shows_ends_without_a_result(taskflow_registry: Registry) -> None:
    @task(registry=taskflow_registry, result="1h", name="fail", retries=0)
    def fail() -> None:
        raise ValueError("no")

    with closing(taskflow.open_broker("memory://")) as broker, using(broker):
        worker = Worker(broker, registry=taskflow_registry)
        made = fail.delay()
        result: taskflow.Result[msgspec.Raw]
        result = taskflow.Result(made.id, broker=broker, returns=msgspec.Raw)
        with pytest.raises(ResultTimeout):
            get_with_bar(result, 0, Terminal())
        worker.drain()
        with pytest.raises(RunFailed):
            get_with_bar(result, None, Terminal())
