"""`taskflow worker`: run the handlers of some queues until a signal."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from taskflow.cli.options import Seconds, broker_option, load_registry, module_option, opened
from taskflow.config import setting
from taskflow.errors import ConfigError, QueueNotFound
from taskflow.pool import Pool
from taskflow.worker import Worker

log = logging.getLogger("taskflow.worker")


@click.command()
@click.argument("queues", nargs=-1, metavar="QUEUE...")
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Threads. Default: 8.")
@click.option("--grace", type=Seconds(), help="How long a stop waits for handlers. Default: 30s.")
@module_option
@broker_option
def worker(
    queues: tuple[str, ...],
    concurrency: int | None,
    grace: float | None,
    modules: tuple[str, ...],
    address: str | None,
) -> None:
    """Run the handlers of QUEUE..., or of every queue that has one.

    SIGTERM or SIGINT stops gracefully: running handlers may finish within --grace, all other
    messages are given back at once. A second signal does not wait (exit code 128 + signal).

    \b
    Example:
      taskflow worker audit notifications --concurrency 16 --module shop.handlers
    """
    registry = load_registry(modules)
    if not len(registry):
        raise ConfigError(
            "no subscription was loaded; name the modules that hold handlers with --module, "
            "TASKFLOW_MODULES, or modules = in setup.cfg [taskflow]"
        )
    for name in queues:
        if not registry.on(name):
            raise QueueNotFound(name, registry.queues())
    threads = concurrency or int(_number("concurrency", 8))
    seconds = _number("grace", 30.0) if grace is None else grace
    with opened(address) as broker:
        pool = Pool(Worker(broker, queues, registry=registry), concurrency=threads, grace=seconds)
        served = queues or tuple(registry.queues())
        with signals_to(pool) as seen:
            log.info(
                "working on %s with %d threads, pid %d", ", ".join(served), threads, os.getpid()
            )
            pool.run()
        log.info("stopped")
    if len(seen) > 1:
        logging.shutdown()
        os._exit(128 + seen[-1])  # handlers still run in daemon threads: do not wait for them


def _number(name: str, default: float) -> float:
    text = setting(name)
    if text is None:
        return default
    seconds: float = Seconds().convert(text, None, None)
    return seconds


@contextmanager
def signals_to(pool: Pool) -> Iterator[list[int]]:
    """Stop the pool on SIGTERM and SIGINT; answers the list of signals seen so far.

    A thread acts on them, not the signal handler: the main thread may hold the pool's locks.
    """
    seen: list[int] = []
    read, write = socket.socketpair()
    write.setblocking(False)

    def listen() -> None:
        while number := read.recv(1)[0]:
            seen.append(number)
            if len(seen) == 1:
                log.info("%s: finishing what runs", signal.Signals(number).name)
                pool.stop()
            else:
                log.info("%s: not waiting", signal.Signals(number).name)
                pool.stop_now()

    def nothing(number: int, frame: object) -> None:
        """Python only writes to the wake-up descriptor for signals that have a handler."""

    before = {number: signal.signal(number, nothing) for number in (signal.SIGTERM, signal.SIGINT)}
    descriptor = signal.set_wakeup_fd(write.fileno())
    thread = threading.Thread(target=listen, name="taskflow-signals", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        write.send(b"\0")
        thread.join()
        read.close()
        write.close()
