"""The load: a process of its own that does one job to one or two servers and prints a sample.

python -m benchmarks.wire.load '{"job": "cycles", "target": [PORT, PID], "options": {...}}'
"""

import asyncio
import gc
import json
import sys
from typing import Any

from benchmarks.wire import jobs
from benchmarks.wire.jobs import Target
from benchmarks.wire.polls import parked


def run(order: dict[str, Any]) -> Any:
    options = order["options"]
    targets = [Target(*one) for one in order["targets"]]
    match order["job"]:
        case "cycles":
            return asyncio.run(jobs.cycles(targets[0], **options))
        case "fill":
            return asyncio.run(jobs.fill(targets[0], **options))
        case "operations":
            return asyncio.run(jobs.operations(targets, **options))
        case "fan_out":
            return asyncio.run(jobs.fan_out(targets[0], **options))
        case "parked":
            return asyncio.run(parked(targets[0], **options))
        case "boto3":
            from benchmarks.wire.with_boto3 import cycles

            return cycles(targets[0], **options)
    raise ValueError(f"no job {order['job']!r}")


def main() -> int:
    gc.freeze()
    try:
        print(json.dumps(run(json.loads(sys.argv[1]))))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
