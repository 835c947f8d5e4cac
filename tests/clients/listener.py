"""A URL of this machine that SNS can post to."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT = 30.0  # seconds to wait for a post


class Listener:
    """What was posted, in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posts: queue.Queue[tuple[dict[str, str], Any]] = queue.Queue()

    def next(self) -> tuple[dict[str, str], Any]:
        """Headers, in small letters, and JSON of the next post. Raises queue.Empty after 30 s."""
        return self.posts.get(timeout=LIMIT)


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            listener.posts.put((headers, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener = Listener(f"http://127.0.0.1:{server.server_port}/inbox")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()
