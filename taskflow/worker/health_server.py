"""Whether a process is alive and ready, over HTTP."""

import json

from taskflow.worker.health import Problems
from taskflow.worker.http_server import Answer, HttpServer


class HealthServer(HttpServer):
    """`/live` and `/ready` (and `/`, the same as ready): 200, or 503 with the reasons, as JSON."""

    def __init__(self, problems: Problems, host: str, port: int) -> None:
        def answer(path: str) -> Answer:
            dead, unready = problems()
            reasons = {"/live": dead, "/ready": unready, "/": unready}.get(path)
            found = reasons if reasons is not None else ["ask /live or /ready"]
            status = 404 if reasons is None else 503 if found else 200
            body = json.dumps({"ok": status == 200, "reasons": found}).encode()
            return Answer(status, "application/json", body)

        super().__init__("health", answer, host, port)
