"""`taskflow worker`: run the handlers of some queues until a signal."""

import gc
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from taskflow.broker import Broker
from taskflow.cli.leaving import leave, threads_since
from taskflow.cli.modules import load_registry
from taskflow.cli.options import broker_option, module_option, opened
from taskflow.cli.parameter_types import Bytes, Seconds, WeightedQueue
from taskflow.cli.repeating import every
from taskflow.cli.service_manager import managed
from taskflow.cli.stop_signals import signals_to
from taskflow.cli.worker_options import Options
from taskflow.clock import Clock
from taskflow.config import setting, shown_address
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.later import Later
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.worker.bounds import Bounds, read_bounds
from taskflow.worker.health import write_heartbeat
from taskflow.worker.pool import Pool
from taskflow.worker.worker import Worker

if TYPE_CHECKING:
    from taskflow.cli import supervise, worker_metrics
    from taskflow.worker import health_server, metrics_file, metrics_server, supervisor
else:
    supervise = Later("taskflow.cli.supervise")
    worker_metrics = Later("taskflow.cli.worker_metrics")
    health_server = Later("taskflow.worker.health_server")
    metrics_file = Later("taskflow.worker.metrics_file")
    metrics_server = Later("taskflow.worker.metrics_server")
    supervisor = Later("taskflow.worker.supervisor")

log = logging.getLogger("taskflow.worker")

HEARTBEAT_SECONDS = 5.0

T = TypeVar("T")


class AtOnce(click.ParamType[Bounds]):
    """How many at once: `8`, or between two numbers: `2..32`."""

    name = "number or range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Bounds:
        try:
            return read_bounds("it", value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("queues", nargs=-1, type=WeightedQueue(), metavar="QUEUE[:WEIGHT]...")
@click.option(
    "--concurrency",
    "-c",
    type=AtOnce(),
    metavar="N|N..M",
    help="Threads; 2..32: as many of them as the backlog asks for. Default: 8.",
)
@click.option(
    "--async-concurrency",
    type=AtOnce(),
    metavar="N|N..M",
    default="100",
    show_default=True,
    help="`async def` handlers at once, on one event loop; 10..500: by the backlog.",
)
@click.option("--processes", "-p", type=click.IntRange(1), help="Processes. Default: 1.")
@click.option("--strict", is_flag=True, help="Always ask the queues in the order given.")
@click.option("--grace", type=Seconds(), help="How long a stop waits for handlers. Default: 30s.")
@click.option("--burst", is_flag=True, help="Stop when nothing is due any more.")
@click.option("--max-tasks", type=click.IntRange(1), help="Replace a process after so many runs.")
@click.option("--max-memory", type=Bytes(), help="Replace a process at this size: 512M, 2G.")
@click.option("--health-port", type=click.IntRange(0, 65535), help="Serve /live and /ready here.")
@click.option("--health-host", default="127.0.0.1", show_default=True, help="Of /live and /ready.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics here.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Of /metrics.")
@click.option(
    "--metrics-file", type=click.Path(path_type=Path), hidden=True, help="For the supervisor."
)
@click.option("--heartbeat-file", type=click.Path(path_type=Path), help="Write the state here.")
@click.option("--reload", is_flag=True, help="Start anew when a .py file changes (development).")
@click.option("--supervised", type=int, hidden=True, help="The supervising process.")
@module_option
@broker_option
def worker(**flags: Any) -> None:
    """Run the handlers of QUEUE..., or of every queue that has one.

    Queues are asked in random order by weight (1 by default), or with --strict in the order given.
    SIGTERM, SIGINT or SIGHUP stops gracefully: running handlers may finish within --grace, all
    other messages are given back at once. A second signal does not wait (exit code 128 + signal).

    \b
    Example:
      taskflow worker critical:6 audit --concurrency 16 --processes 2 --module shop.handlers
    """
    options = Options(**flags)
    registry = load_registry(options.modules)
    if not registry.queues():
        raise ConfigError(
            "no subscription was loaded; name the modules that hold handlers with --module, "
            "TASKFLOW_MODULES, or modules = in setup.cfg [taskflow]"
        )
    for name, _ in options.queues:
        if not registry.on(name):
            raise QueueNotFound(name, registry.queues())
    processes = options.processes or _setting("processes", click.IntRange(1), 1)
    several = processes > 1 or options.reload or options.max_tasks or options.max_memory
    if several and options.supervised is None:
        if options.heartbeat_file is not None:
            raise ConfigError(
                "--heartbeat-file is about one process; ask --health-port about several"
            )
        supervise.supervise(options, processes)
    else:
        work(options, registry)


def work(options: Options, registry: Registry) -> None:
    """One worker process."""
    threads = options.concurrency or _setting("concurrency", AtOnce(), Bounds(8, 8))
    before = threading.enumerate()
    grace = options.grace
    if grace is None:
        grace = _setting("grace", Seconds(), 30.0)
    with opened(options.address, create=True) as broker, using(broker), ExitStack() as around:
        metrics = _metrics(options, broker)
        if metrics is not None:
            around.enter_context(using(metrics.broker))
        handlers = Worker(
            broker if metrics is None else metrics.broker,
            dict(options.queues),
            strict=options.strict,
            registry=registry,
            observers=() if metrics is None else metrics.observers,
        )
        pool = Pool(
            handlers,
            concurrency=threads,
            async_concurrency=options.async_concurrency,
            grace=grace,
            burst=options.burst,
            max_tasks=options.max_tasks,
            max_memory=options.max_memory,
            replaceable=options.supervised is not None,
        )
        if options.health_port is not None:
            server = health_server.HealthServer(
                pool.problems, options.health_host, options.health_port
            )
            around.callback(server.close)
            log.info("health on http://%s:%d/ready", options.health_host, server.port)
        if metrics is not None:
            metrics.attend(pool, handlers)
            for end in _told(metrics, options, broker.clock):
                around.callback(end)
        if options.heartbeat_file is not None or options.supervised is not None:
            beat = _heartbeats(pool, options, broker.clock.now)
            around.callback(every(HEARTBEAT_SECONDS, beat, broker.clock.wait))
        # A supervisor tells for all.
        environment = os.environ if options.supervised is None else {}
        stops = around.enter_context(managed(pool.problems, broker.clock, environment))
        seen = around.enter_context(signals_to(pool, stops))
        names = [name for name, _ in options.queues] or registry.queues()
        where = shown_address(options.address)
        log.info(
            "working on %s of %s with %s threads, pid %d",
            *(", ".join(names), where, threads, os.getpid()),
        )
        gc.freeze()  # what was imported stays: no collection looks through it again
        pool.run()
        log.info("stopped")
    stragglers = threads_since(before)
    if len(seen) > 1 or pool.recycled or pool.left_behind or stragglers:
        code = 128 + seen[-1] if len(seen) > 1 else supervisor.RECYCLED if pool.recycled else 0
        leave(code, 0.0 if len(seen) > 1 else pool.grace_left(), stragglers)


def _metrics(options: Options, broker: Broker) -> "worker_metrics.WorkerMetrics | None":
    if options.metrics_port is None and options.metrics_file is None:
        return None
    return worker_metrics.WorkerMetrics(broker)


def _told(
    metrics: "worker_metrics.WorkerMetrics", options: Options, clock: Clock
) -> Iterator[Callable[[], None]]:
    """Serve the metrics, or write them for the supervisor; yields how to end each. Not at the
    heartbeats: a broker that hangs must not make this process look dead."""
    if options.metrics_port is not None:
        page = metrics_server.MetricsServer(
            metrics.families, options.metrics_host, options.metrics_port
        )
        yield page.close
    if (path := options.metrics_file) is not None:

        def write() -> None:
            try:
                metrics_file.write_metrics(path, metrics.families(), clock.now())
            except Exception:
                log.exception("the metrics were not written")

        yield every(HEARTBEAT_SECONDS, write, clock.wait)


def _heartbeats(pool: Pool, options: Options, now: Callable[[], float]) -> Callable[[], None]:
    """Write the heartbeat file; stop when the supervisor is gone."""

    def beat() -> None:
        if options.heartbeat_file is not None:
            try:
                write_heartbeat(options.heartbeat_file, pool.problems, now())
            except OSError as error:
                log.error("heartbeat file: %s", error)
        if options.supervised is not None and os.getppid() != options.supervised:
            log.error("the supervising process is gone")
            pool.stop()

    return beat


def _setting(name: str, kind: click.ParamType[T], default: T) -> T:
    """A setting from the environment or setup.cfg, under the rules of its flag."""
    text = setting(name)
    if not text:
        return default
    try:
        return kind.convert(text, None, None)
    except click.BadParameter as error:
        raise ConfigError(f"{name}: {error.message}") from error
