"""How a side says when it begins to drain and when it has ended: the CPU of the server counts
between."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def say(jobs: int) -> Iterator[None]:
    """Waits for a line before, and answers by lines: "full", then jobs, seconds, CPU seconds."""
    print("full", flush=True)
    sys.stdin.readline()
    began, cpu = time.perf_counter(), time.process_time()
    yield
    print(jobs, time.perf_counter() - began, time.process_time() - cpu, flush=True)
