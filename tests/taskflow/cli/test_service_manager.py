"""What systemd is told, and `taskflow health`."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow.cli.service_manager import ServiceManager, managed
from taskflow.clock import SystemClock
from taskflow.testing import ManualClock
from taskflow.worker.health_server import HealthServer
from tests.taskflow.cli.test_worker import hear, listening

Run = Callable[..., Result]


def test_ready_is_said_once_and_the_watchdog_while_it_is_alive() -> None:
    state: tuple[list[str], list[str]] = ([], ["starting"])
    with listening() as (manager, address):
        telling = ServiceManager(address, True, lambda: state)

        def said() -> list[str]:
            telling.look()
            return manager.recv(4096).decode().splitlines()

        assert said() == ["WATCHDOG=1", "STATUS=starting"]
        state = ([], [])
        assert said() == ["READY=1", "WATCHDOG=1", "STATUS=working"]
        assert said() == ["WATCHDOG=1"]
        state = ([], ["the broker\ncannot be used"])
        assert said() == ["WATCHDOG=1", r"STATUS=the broker\ncannot be used"], "it rides that out"
        state = (["stalled"], ["stalled"])
        assert said() == ["STATUS=stalled"], "the watchdog bites"
        telling.stopping()
        assert manager.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("more", "watched"),
    [
        ({"WATCHDOG_USEC": "3000000"}, True),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({"WATCHDOG_USEC": "0"}, False),
        ({}, False),
    ],
)
def test_the_watchdog_is_for_whom_it_was_set(more: dict[str, str], watched: bool) -> None:
    clock = ManualClock(0.0)
    with (
        listening() as (manager, address),
        managed(lambda: ([], []), clock, {"NOTIFY_SOCKET": address, **more}) as stops,
    ):
        assert ("WATCHDOG=1" in hear(manager, "READY=1")) == watched
        stops()
        hear(manager, "STOPPING=1")


def test_without_a_manager_nothing_is_told_and_a_deaf_one_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with managed(lambda: pytest.fail("nobody asks"), SystemClock(), {}) as stops:
        stops()
    telling = ServiceManager(str(tmp_path / "nobody"), True, lambda: ([], []))
    telling.look()
    telling.look()
    assert len(caplog.records) == 1
    assert "NOTIFY_SOCKET was not told: " in caplog.text


def test_health_is_an_exit_code(run: Run) -> None:
    state: tuple[list[str], list[str]] = ([], [])
    server = HealthServer(lambda: state, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}/ready"
    try:
        result = run("health", url)
        assert (result.exit_code, result.stdout) == (0, "healthy\n")
        state = ([], ["stopping", "the broker\x1b cannot be used"])
        result = run("health", url)
        assert result.exit_code == 1
        assert result.stderr == "status 503: stopping; the broker\\x1b cannot be used\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as probe:
            probe.sendall(b"HEAD /live HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: probe.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.0 200 ")
        assert answer.endswith(b"\r\n\r\n"), "HEAD has no body"
    finally:
        server.close()
    result = run("health", url)
    assert (result.exit_code, result.stderr[:11]) == (1, "no answer: ")


def test_health_wants_an_address_of_http(run: Run) -> None:
    for url in ("127.0.0.1:8090", "file:///etc/passwd"):
        result = run("health", url)
        assert result.exit_code == 2
        assert "write http://127.0.0.1:8090/ready" in result.stderr
    assert run("health", "http://[::1").exit_code == 1
