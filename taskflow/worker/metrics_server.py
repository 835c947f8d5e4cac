"""`/metrics` of a worker, as Prometheus reads it."""

import logging
from collections.abc import Callable, Sequence

from taskflow.telemetry.exposition import PROMETHEUS, write_families
from taskflow.telemetry.family import Family
from taskflow.worker.http_server import Answer, HttpServer

log = logging.getLogger("taskflow.worker")


class MetricsServer(HttpServer):
    """Answers what `families` does. Raises ConfigError when the port cannot be had."""

    def __init__(self, families: Callable[[], Sequence[Family]], host: str, port: int) -> None:
        def answer(path: str) -> Answer:
            if path.partition("?")[0] != "/metrics":
                return Answer(404, "text/plain", b"ask /metrics\n")
            return Answer(200, PROMETHEUS, write_families(families()))

        super().__init__("metrics", answer, host, port)
        log.info("metrics on http://%s:%d/metrics", host, self.port)
