"""Whether a process is alive and ready: as a file that keeps being written, and over HTTP."""

import json
import resource
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from taskflow.errors import ConfigError

Problems = Callable[[], tuple[list[str], list[str]]]
"""Why not alive, and why not ready (which includes the former); empty lists when it is."""


class HealthServer:
    """`/live` and `/ready` (and `/`, the same as ready): 200, or 503 with the reasons, as JSON.

    Raises ConfigError when the port cannot be had. Port 0 takes a free one.
    """

    def __init__(self, problems: Problems, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                dead, unready = problems()
                reasons = {"/live": dead, "/ready": unready, "/": unready}.get(self.path)
                found = reasons if reasons is not None else ["ask /live or /ready"]
                status = 404 if reasons is None else 503 if found else 200
                body = json.dumps({"ok": status == 200, "reasons": found}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are not news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"health port {port} on {host}: {error.strerror}; choose another with --health-port"
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="taskflow-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def write_heartbeat(path: Path, problems: Problems, now: float) -> None:
    """Write the state of this process, whole or not at all. `at` is in epoch seconds."""
    dead, unready = problems()
    text = json.dumps({"at": now, "live": not dead, "ready": not unready, "reasons": unready})
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def read_heartbeat(path: Path, now: float, stale_after: float) -> tuple[list[str], list[str]]:
    """The problems in a heartbeat file; one that is missing or too old is dead."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return ["no heartbeat yet"], ["no heartbeat yet"]
    if found["at"] + stale_after < now:
        late = [f"no heartbeat for {now - found['at']:.0f} s"]
        return late, late
    return ([] if found["live"] else found["reasons"]), found["reasons"]


def processor_seconds() -> float:
    """The processor time that this process has used, all its threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """The most memory this process has had resident, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
