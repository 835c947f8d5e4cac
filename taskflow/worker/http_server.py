"""The HTTP server of a worker process: a few small answers to GET and HEAD, and no other verb."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from taskflow.errors import ConfigError

PATIENCE = 10.0  # seconds for a request to come in, or an answer to go out


class Answer(NamedTuple):
    """What a path is answered with."""

    status: int
    kind: str
    body: bytes


class HttpServer:
    """Calls `answer` with the path of each request, from a thread of its own.

    `what` names it: its thread, its flag (`--what-port`). Raises ConfigError when the port cannot
    be had. Port 0 takes a free one.
    """

    def __init__(self, what: str, answer: Callable[[str], Answer], host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_GET(self) -> None:
                status, kind, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Probes are not news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"{what} port {port} on {host}: {error.strerror}; choose another with --{what}-port"
            ) from error
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name=f"taskflow-{what}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
