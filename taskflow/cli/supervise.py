"""`taskflow worker --processes`: the same command several times, under a supervisor."""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from taskflow.cli.log_lines import log_flags
from taskflow.cli.service_manager import managed
from taskflow.cli.stop_signals import signals_to
from taskflow.cli.worker_options import Options
from taskflow.clock import SystemClock
from taskflow.errors import ConfigError
from taskflow.forking import RANDOM
from taskflow.worker.health_server import HealthServer
from taskflow.worker.metrics_file import read_metrics
from taskflow.worker.metrics_server import MetricsServer
from taskflow.worker.supervisor import STALE_AFTER, Supervisor

log = logging.getLogger("taskflow.worker.supervisor")


def supervise(options: Options, processes: int) -> None:
    """Run until stopped; exits with the worst exit code of the children."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="taskflow-") as folder, ExitStack() as around:
        supervisor = Supervisor(
            _command(options),
            processes=processes,
            folder=Path(folder),
            environment=os.environ,
            once=options.burst,
            clock=clock,
            random=RANDOM,
            reloads=options.reload,
        )
        if options.health_port is not None:
            server = HealthServer(supervisor.problems, options.health_host, options.health_port)
            around.callback(server.close)
            log.info("health on http://%s:%d/ready", options.health_host, server.port)
        if options.metrics_port is not None:
            files = [Path(_metrics_file(child.heartbeat)) for child in supervisor.children]
            page = MetricsServer(
                lambda: read_metrics(files, clock.now(), STALE_AFTER),
                options.metrics_host,
                options.metrics_port,
            )
            around.callback(page.close)
        if options.reload:
            around.enter_context(_reloading(supervisor))
        stops = around.enter_context(managed(supervisor.problems, clock))
        around.enter_context(signals_to(supervisor, stops))
        code = supervisor.run()
    sys.exit(code)


def _command(options: Options) -> Callable[[Path], Sequence[str]]:
    """The command line of a child, by its heartbeat file."""
    flags: list[str] = []
    for name in ("concurrency", "async_concurrency", "grace", "max_tasks", "max_memory"):
        value = getattr(options, name)
        if value is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    flags += [f"--{name}" for name in ("strict", "burst") if getattr(options, name)]
    for module in options.modules:
        flags += ["--module", module]
    if options.address is not None:
        flags += ["--broker", options.address]
    queues = [f"{name}:{weight:g}" for name, weight in options.queues]
    logs = log_flags()

    def command(heartbeat: Path) -> Sequence[str]:
        return [
            # -P: what lies in the current folder must not stand in for modules of Python.
            *[sys.executable, "-P", "-m", "taskflow.cli", *logs, "worker", *queues],
            *[*flags, "--supervised", str(os.getpid()), "--heartbeat-file", str(heartbeat)],
            *(() if options.metrics_port is None else ("--metrics-file", _metrics_file(heartbeat))),
        ]

    return command


def _metrics_file(heartbeat: Path) -> str:
    """Where a child writes its metrics."""
    return str(heartbeat.with_suffix(".metrics"))


@contextmanager
def _reloading(supervisor: Supervisor) -> Iterator[None]:
    """Replace the children whenever a Python file below the current folder changes."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as error:
        raise ConfigError(
            "--reload needs watchfiles: pip install 'taskflow-events[reload]'"
        ) from error
    ended = threading.Event()

    def run() -> None:
        for changes in watch(Path.cwd(), watch_filter=PythonFilter(), stop_event=ended):
            log.info("%s changed: starting anew", min(path for _, path in changes))
            supervisor.replace_all()

    thread = threading.Thread(target=run, name="taskflow-reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
