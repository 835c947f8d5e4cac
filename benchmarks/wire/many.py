"""`taskflow serve --processes N`, with as many loads at once as it has processes."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

from benchmarks.wire.servers import BY_NAME, ROOT, Server
from benchmarks.wire.workloads import LoadFailed

CONNECTIONS = 8
"""Of each load: each sends, receives and deletes one message after the other."""
WITHIN = 60.0


def serve(processes: int, files: int, seconds: float) -> tuple[float, float]:
    """Messages a second that were sent, received and deleted, each by itself, and the servers' CPU
    seconds for a thousand of them. Each load has a queue of its own."""
    plain = BY_NAME["taskflow-process"]
    command = plain.command + (f"&shards={files}" if files > 1 else "")
    command += f" --processes {processes}" if processes > 1 else ""
    with Server(replace(plain, command=command)) as server:
        order = {
            "job": "cycles",
            "targets": [[server.port, server.pid]],
            "options": {"connections": CONNECTIONS, "batch": 1, "seconds": seconds, "size": 100},
        }
        words = [sys.executable, "-m", "benchmarks.wire.load", json.dumps(order)]
        loads = [
            subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(processes)
        ]
        samples = [_sample(load) for load in loads]
    rate = sum(one["rate"] for one in samples)
    # each load divides its messages by the CPU seconds of all servers in its own time
    return rate, 1000 / sum(one["messages_per_cpu"] for one in samples)


def _sample(load: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, errors = load.communicate(timeout=WITHIN)
    if load.returncode:
        raise LoadFailed((errors.decode(errors="replace").splitlines() or ["it said nothing"])[-1])
    found: dict[str, Any] = json.loads(output)
    return found
