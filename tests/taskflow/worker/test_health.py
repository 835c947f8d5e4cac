"""Liveness and readiness, over HTTP and as a file."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from taskflow.errors import ConfigError
from taskflow.worker.health import read_heartbeat, write_heartbeat
from taskflow.worker.health_server import HealthServer


def ask(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(
    ("problems", "live", "ready"),
    [
        (([], []), 200, 200),
        (([], ["stopping"]), 200, 503),
        ((["stalled"], ["stalled"]), 503, 503),
    ],
)
def test_live_and_ready_say_why_not(
    problems: tuple[list[str], list[str]], live: int, ready: int
) -> None:
    server = HealthServer(lambda: problems, "127.0.0.1", 0)
    try:
        assert ask(server.port, "/live") == (live, {"ok": live == 200, "reasons": problems[0]})
        assert ask(server.port, "/ready") == (ready, {"ok": ready == 200, "reasons": problems[1]})
        assert ask(server.port, "/nosuch")[0] == 404
    finally:
        server.close()


def test_a_used_port_is_named_with_the_way_out() -> None:
    server = HealthServer(lambda: ([], []), "127.0.0.1", 0)
    try:
        with pytest.raises(ConfigError, match=f"port {server.port} .*--health-port"):
            HealthServer(lambda: ([], []), "127.0.0.1", server.port)
    finally:
        server.close()


def test_a_heartbeat_file_tells_the_state(tmp_path: Path) -> None:
    path = tmp_path / "beat.json"
    write_heartbeat(path, lambda: ([], ["stopping"]), 1000.0)
    assert json.loads(path.read_text()) == {
        "at": 1000.0,
        "live": True,
        "ready": False,
        "reasons": ["stopping"],
    }
    assert read_heartbeat(path, 1010.0, stale_after=60) == ([], ["stopping"])
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_or_missing_heartbeat_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "beat.json"
    assert read_heartbeat(path, 0.0, 60) == (["no heartbeat yet"], ["no heartbeat yet"])
    write_heartbeat(path, lambda: ([], []), 1000.0)
    late = ["no heartbeat for 61 s"]
    assert read_heartbeat(path, 1061.0, 60) == (late, late)
