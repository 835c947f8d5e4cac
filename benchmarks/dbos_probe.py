"""The same steps over DBOS and its SQLite: run by a Python that has it, prints a line of JSON.

PYTHON dbos_probe.py many|one FILE COUNT
"""

import json
import os
import sys
import time
from itertools import pairwise

from dbos import DBOS, DBOSConfig  # type: ignore[import-not-found]

times: list[float] = []


@DBOS.step()  # type: ignore[untyped-decorator]
def step(number: int) -> int:
    """What a step does."""
    times.append(time.perf_counter())
    return number + 1


@DBOS.workflow()  # type: ignore[untyped-decorator]
def run(count: int) -> int:
    """So many steps."""
    number = 0
    for _ in range(count):
        number = step(number)
    return number


def main() -> None:
    """Measure."""
    what, file, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{file}",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("bench")
    cpu, wall = time.process_time(), time.perf_counter()
    if what == "one":
        run(count)
        took, cpu = times[-1] - times[0], time.process_time() - cpu
        gaps = sorted(after - before for before, after in pairwise(times))
        found = {"steps": (count - 1) / took, "p50_ms": gaps[len(gaps) // 2] * 1e3}
        found["us"] = cpu / count * 1e6
    else:
        for handle in [DBOS.enqueue_workflow("bench", run, 3) for _ in range(count)]:
            handle.get_result()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found = {"runs": count / wall, "us": cpu / count * 1e6}
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
