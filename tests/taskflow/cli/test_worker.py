"""`taskflow worker`: what it refuses, and a real one that stops on a signal."""

import gc
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

import taskflow
from taskflow import Broker, QueueSettings, publish

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        ("nosuch", "Error: no queue named 'nosuch'; known: audit, mails\n"),
        ("audti", "Error: no queue named 'audti'; known: audit, mails (did you mean 'audit'?)\n"),
        ("audit-dlq", "(did you mean 'audit'?)\n"),
    ],
)
def test_an_unknown_queue_exits_2_with_the_nearest(
    run: Run, folder: Path, queue: str, message: str
) -> None:
    result = run("worker", "audit", queue, "-m", "shop")
    assert result.exit_code == 2
    assert result.stderr.endswith(message)
    assert not (folder / "taskflow.db").exists()


def test_without_handlers_it_exits_2_and_says_where_to_name_them(run: Run, folder: Path) -> None:
    result = run("worker", "audit")
    assert result.exit_code == 2
    assert "--module, TASKFLOW_MODULES, or modules = in setup.cfg" in result.stderr
    assert not (folder / "taskflow.db").exists()


def test_what_a_task_sends_goes_with_its_end(run: Run, broker: Broker) -> None:
    """The worker's broker is the one that `publish` uses, wherever it was named."""
    broker.subscribe("order.created", "plain")
    address = ("-m", "jobs", "--broker", f"sqlite:///{Path.cwd()}/taskflow.db?durability=process")
    for id in ("good", "bad"):
        assert run("call", "jobs.place", id, *address).exit_code == 0
    assert run("worker", "orders", "--burst", *address).exit_code == 0
    assert broker.counts("orders-dlq").visible == 1
    assert [json.loads(one.body)["data"] for one in broker.peek("plain")] == ["good"]


def test_no_collection_looks_through_what_was_imported(
    run: Run, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said once all is there, and before anything runs."""
    waiting: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: waiting.append(broker.counts("orders").visible))
    address = ("-m", "jobs", "--broker", f"sqlite:///{Path.cwd()}/taskflow.db?durability=process")
    assert run("call", "jobs.place", "good", *address).exit_code == 0
    assert run("worker", "orders", "--burst", *address).exit_code == 0
    assert waiting == [1]
    assert broker.counts("orders").visible == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nosuch\n", "broken.py, line 1: ModuleNotFoundError: No module named 'nosuch'"),
        ("\n\n1 / 0\n", "broken.py, line 3: ZeroDivisionError: division by zero"),
        ("x = 1\ndef f(:\n", "broken.py, line 2: SyntaxError: "),
        ("import sys\nsys.exit(3)\n", "broken.py, line 2: SystemExit: 3"),
        (
            "from taskflow import subscribe\n@subscribe('t', queue='q', retry=1)\ndef f(e): ...\n",
            "broken.py, line 2: RegistrationError: subscribe does not know 'retry'",
        ),
        ("import json\njson.loads('')\n", "JSONDecodeError: Expecting value"),
    ],
)
def test_a_module_that_fails_to_import_exits_2_with_its_line(
    run: Run, folder: Path, text: str, reason: str
) -> None:
    (folder / "broken.py").write_text(text)
    result = run("worker", "-m", "shop", "-m", "broken")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: module 'broken' failed to import: ")
    assert reason in line
    assert list(folder.glob("*.db*")) == [], "no broker was touched"


@pytest.mark.parametrize("name", ["nosuch", "shop.nosuch", "nosuch.handlers"])
def test_a_module_that_is_none_exits_2(run: Run, folder: Path, name: str) -> None:
    result = run("worker", "-m", name)
    assert result.exit_code == 2
    assert f"no module named '{name}'" in result.stderr or "shop.nosuch" in result.stderr
    assert list(folder.glob("*.db*")) == []


def test_a_queue_that_disagrees_exits_2_with_the_way_out(run: Run, broker: Broker) -> None:
    broker.create_queue("audit", QueueSettings(visibility_timeout=5))
    result = run("worker", "-m", "shop")
    assert result.exit_code == 2
    assert "visibility_timeout is 5, declared as 30" in result.stderr
    assert "`taskflow topology apply` changes it" in result.stderr


# ---- a real one -------------------------------------------------------------------------------
@contextmanager
def started(
    *arguments: str, under: Sequence[str] = (), manager: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A worker process that has said it works. `manager` is the socket of a service manager."""
    root = str(Path(taskflow.__file__).parent.parent)
    with subprocess.Popen(
        [*under, sys.executable, "-m", "taskflow.cli", "worker", "-m", "shop", *arguments],
        env={"PYTHONPATH": root, "NOTIFY_SOCKET": manager, "WATCHDOG_USEC": "60000000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(process, "working on")
            yield process
        finally:
            process.kill()


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(15)
        manager.bind("")  # any free name in the abstract namespace
        yield manager, "@" + manager.getsockname()[1:].decode()


def hear(manager: socket.socket, line: str) -> list[str]:
    """The lines of the first datagram that has this one."""
    while line not in (said := manager.recv(4096).decode().splitlines()):
        pass
    return said


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the log to the first line with that text."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.slow
def test_it_works_and_stops_on_a_signal_with_exit_code_0(
    broker: Broker, number: signal.Signals
) -> None:
    with started("audit") as process:
        broker.subscribe("order.created", "audit")
        event_id = publish("order.created", "good", broker=broker)
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded good\n"
        assert f"event={event_id}" in until(process, "outcome=done")
        process.send_signal(number)
        until(process, f"{number.name}: finishing what runs")
        until(process, "stopped")
        assert process.wait(15) == 0
    assert broker.counts("audit").handled == 1


@pytest.mark.slow
def test_a_service_manager_is_told_of_its_life() -> None:
    with listening() as (manager, address), started(manager=address) as process:
        assert "WATCHDOG=1" in hear(manager, "READY=1")
        process.send_signal(signal.SIGTERM)
        hear(manager, "STOPPING=1")
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(15) == 0


HANGING = """
import threading
from taskflow import subscribe

@subscribe("order.created", queue="audit")
def hang(event):
    print("hangs", flush=True)
    threading.Event().wait()
"""


def test_a_terminal_that_goes_away_twice_is_one_signal(broker: Broker, folder: Path) -> None:
    (folder / "shop.py").write_text(HANGING)
    with started("--concurrency", "1", "--grace", "1h") as process:
        publish("order.created", 1, broker=broker)
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGHUP)
        until(process, "SIGHUP: finishing what runs")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        until(process, "SIGINT: not waiting")
        assert process.wait(15) == 128 + signal.SIGINT


@pytest.mark.slow
def test_under_nohup_a_terminal_may_go_away(broker: Broker) -> None:
    with started("audit", under=["/usr/bin/env", "nohup"]) as process:
        process.send_signal(signal.SIGHUP)
        publish("order.created", "good", broker=broker)
        until(process, "outcome=done")
        process.send_signal(signal.SIGTERM)
        until(process, "SIGTERM: finishing what runs")
        assert process.wait(15) == 0


@pytest.mark.slow
def test_a_second_signal_does_not_wait(broker: Broker, folder: Path) -> None:
    (folder / "shop.py").write_text(HANGING)
    with started("--concurrency", "1", "--grace", "1h") as process:
        publish("order.created", 1, broker=broker)
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGTERM)
        until(process, "SIGTERM: finishing what runs")
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 128 + signal.SIGINT
    counts = broker.counts("audit")
    assert (counts.visible, counts.in_flight) == (1, 0), "it was given back"
    assert broker.peek("audit")[0].receive_count == 0, "no attempt was burnt"
