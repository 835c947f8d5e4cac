"""`python -m benchmarks.postgres`: no-op jobs drained by the workers of three queues, in turns, at
one private server. CPU is that of the worker and of all the server's processes."""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.postgres_server import PostgresServer

SIDES = ("taskflow", "pgqueuer", "procrastinate")
TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(server: PostgresServer) -> float:
    """CPU seconds of the server's processes that live, and of their dead."""
    head = server.pid()
    total = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(process.name) == head:
                total += sum(map(int, fields[11:15]))  # with the children that have ended
            elif int(fields[1]) == head:
                total += int(fields[11]) + int(fields[12])
    return total / TICK


def drain(server: PostgresServer, side: str, jobs: int) -> tuple[float, float, float]:
    """(jobs a second, CPU seconds of the worker and of the server per 1,000 jobs)."""
    address = server.address(**({"durability": "process"} if side == "taskflow" else {}))
    command = [sys.executable, "-m", f"benchmarks.postgres.side_{side}", address, str(jobs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == "full\n", f"{side} could not begin"
        before = cpu_of(server)
        run.stdin.write("go\n")
        run.stdin.flush()
        count, seconds, cpu = map(float, run.stdout.readline().split())
        spent = cpu_of(server) - before
    return count / seconds, cpu / count * 1000, spent / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=3000)
    given = parser.parse_args()
    server = PostgresServer(synchronous_commit="off")
    found: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
    try:
        for _ in range(given.rounds):
            for side in SIDES:
                jobs = given.jobs // 5 if side == "procrastinate" else given.jobs
                found[side].append(drain(server, side, jobs))
    finally:
        server.close()
    print("medians                jobs/s   CPU s per 1,000: worker   server   together")
    for side, runs in found.items():
        rate, worker, spent = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{side:<20} {rate:8,.0f} {worker:26.3f} {spent:8.3f} {worker + spent:10.3f}")


if __name__ == "__main__":
    main()
