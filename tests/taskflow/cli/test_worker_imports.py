"""What a worker of one plain event imports: what it does not need it does not pay for."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import taskflow
from taskflow import Registry, open_broker, publish
from taskflow.topology import declare

SHOP = """
import json, sys
from taskflow import Event, subscribe

@subscribe("order.created", queue="audit")
def record(event: Event) -> None:
    print(json.dumps(sorted(sys.modules)), flush=True)
"""
NOT_NEEDED = {
    # of Python
    *("asyncio", "bz2", "concurrent.futures", "configparser", "ctypes", "email", "html", "http"),
    *("importlib.metadata", "importlib.resources", "lzma", "multiprocessing", "shutil"),
    *("socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "unittest", "xml"),
    # of what is installed
    *("boto3", "opentelemetry", "psycopg", "pydantic", "sentry_sdk", "sqlalchemy"),
    # of taskflow
    *("taskflow.aws", "taskflow.brokers.aws", "taskflow.brokers.copying", "taskflow.celery"),
    *("taskflow.cli.supervise", "taskflow.cli.worker_metrics", "taskflow.coordination"),
    *("taskflow.dashboard", "taskflow.doctor", "taskflow.export", "taskflow.scheduling"),
    *("taskflow.server", "taskflow.stores.postgres", "taskflow.tasks", "taskflow.telemetry.otel"),
    *("taskflow.testing", "taskflow.wire.error_codes", "taskflow.wire.shapes"),
    *("taskflow.worker.http_server", "taskflow.worker.supervisor", "taskflow.workflows"),
}
"""Modules and packages; each costs every worker that starts a part of its start-up and memory."""


def imported_by_worker(folder: Path, *flags: str) -> set[str]:
    """What is imported in the handler of a worker with these flags."""
    (folder / "shop.py").write_text(SHOP)
    with closing(open_broker(f"sqlite:///{folder}/taskflow.db")) as broker:
        registry = Registry()
        registry.subscribe("order.created", queue="audit")(lambda event: None)
        declare(broker, registry)
        publish("order.created", 1, broker=broker)
    flags = ("--module", "shop", "--burst", *flags)
    found = subprocess.run(
        [sys.executable, "-m", "taskflow", "--log-level", "WARNING", "worker", "audit", *flags],
        cwd=folder,
        env={"PYTHONPATH": str(Path(taskflow.__file__).parent.parent)},
        capture_output=True,
        check=True,
    ).stdout
    return set(json.loads(found))


@pytest.mark.slow
def test_a_plain_worker_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    loaded = imported_by_worker(tmp_path)
    assert "taskflow.worker.pool" in loaded
    assert loaded & NOT_NEEDED == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "brought"),
    [
        (("--health-port", "0"), {"http", "email", "taskflow.worker.http_server"}),
        (("--metrics-port", "0"), {"taskflow.cli.worker_metrics", "taskflow.worker.http_server"}),
    ],
)
def test_who_asks_for_more_gets_it(
    tmp_path: Path, flags: tuple[str, ...], brought: set[str]
) -> None:
    assert brought <= imported_by_worker(tmp_path, *flags)
