"""How long an event takes from publish in one process to its handler in another, and what a
waiting worker costs.

    python -m benchmarks.handover [events]

Prints, for both durabilities: idle CPU of the worker over 10 s, and the hand-over and publish
times (median, 99th percentile, worst) of events published one by one to an idle worker.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from taskflow import SystemClock, open_broker, publish
from taskflow.registry import Registry
from taskflow.topology import declare

HANDLERS = """
import time
from taskflow import Event, subscribe

@subscribe("tick", queue="ticks")
def handle(event: Event) -> None:
    print(time.time() - event.payload["at"], flush=True)
"""
IDLE_SECONDS = 10.0
BETWEEN = 0.02


def cpu_seconds(pid: int) -> float:
    """User and system CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def percentiles(seconds: list[float]) -> str:
    """Median, 99th percentile and maximum, in milliseconds."""
    found = sorted(one * 1000 for one in seconds)
    middle, late = found[len(found) // 2], found[len(found) * 99 // 100]
    return f"p50 {middle:.2f}  p99 {late:.2f}  max {found[-1]:.2f} ms"


def measure(folder: Path, durability: str, events: int) -> None:
    """Run one durability and print its figures."""
    (folder / "handlers.py").write_text(HANDLERS)
    address = f"sqlite:///{folder}/{durability}.db?durability={durability}"
    clock, pause = SystemClock(), threading.Condition()
    registry = Registry()

    @registry.subscribe("tick", queue="ticks")
    def handle(payload: dict[str, float]) -> None:
        """Only declares the queue."""

    broker = open_broker(address)
    declare(broker, registry)
    command = ["-m", "handlers", "--broker", address]
    worker = subprocess.Popen(
        [sys.executable, "-m", "taskflow.cli", "--log-level", "WARNING", "worker", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    try:
        publish("tick", {"at": clock.now()}, broker=broker)
        worker.stdout.readline()
        with pause:
            clock.wait(pause, 1.0)
            before, since = cpu_seconds(worker.pid), clock.now()
            clock.wait(pause, IDLE_SECONDS)
        idle = (cpu_seconds(worker.pid) - before) / (clock.now() - since)
        handovers, publishes = [], []
        for _ in range(events):
            with pause:
                clock.wait(pause, BETWEEN)
            at = clock.now()
            publish("tick", {"at": at}, broker=broker)
            publishes.append(clock.now() - at)
            handovers.append(float(worker.stdout.readline()))
    finally:
        worker.terminate()
        worker.wait()
        worker.stdout.close()
        broker.close()
    print(f"durability={durability}")
    print(f"  idle CPU   {idle:.2%} of a core")
    print(f"  hand-over  {percentiles(handovers)}")
    print(f"  publish    {percentiles(publishes)}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for durability in ("process", "power"):
            measure(Path(name), durability, int((sys.argv[1:] or ["300"])[0]))
