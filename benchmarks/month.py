"""A simulated month: a schedule a minute, one an hour, twelve handlers, 5 % of attempts failing.

python -m benchmarks.month [DAYS]
"""

import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from taskflow import Registry, RetryPolicy, cron, publish, task
from taskflow.testing import Sim

SUBSCRIBERS = 10
FAIL = 0.05


class Unlucky(Exception):
    """What 5 % of the attempts raise."""


def application(seed: int) -> Registry:
    """The two schedules and the ten subscribers of what the hourly one publishes."""
    registry = Registry()
    policy = RetryPolicy(retries=8)
    draw = random.Random(seed).random

    def work() -> None:
        if draw() < FAIL:
            raise Unlucky

    @cron("* * * * *")
    @task(registry=registry, queue="minutes", name="minutely", policy=policy)
    def minutely() -> None:
        work()

    @cron("0 * * * *")
    @task(registry=registry, queue="hours", name="hourly", policy=policy)
    def hourly() -> None:
        work()
        publish("hour.ended", {})

    def subscriber(name: str) -> Callable[[Any], None]:
        def handle(event: Any) -> None:
            work()

        handle.__qualname__ = name
        return handle

    for number in range(SUBSCRIBERS):
        handler = subscriber(f"subscriber_{number}")
        registry.subscribe("hour.ended", queue=f"hour-{number}", policy=policy)(handler)
    return registry


def simulate(days: float, seed: int = 0) -> tuple[Counter[str], Sim]:
    """So many days; answers how often each handler was done."""
    with Sim(application(seed), seed=seed) as sim:
        sim.run_for(days * 86400)
        sim.run_until_idle()
        sim.assert_no_dead_letters()
        done = Counter(
            one.handler.rpartition(".")[2] for one in sim.attempts if one.outcome == "done"
        )
        return done, sim


def main() -> None:
    """Print how long it took."""
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    logging.disable(logging.ERROR)
    began, cpu = time.perf_counter(), time.process_time()
    done, sim = simulate(days)
    took, worked = time.perf_counter() - began, time.process_time() - cpu
    failed = sum(one.outcome.startswith("failed") for one in sim.attempts)
    print(
        f"{days:g} days, {done['minutely']} + {done['hourly']} ticks, "
        f"{len(sim.attempts)} attempts, "
        f"{failed} of them failed: {took:.1f} s ({worked:.1f} s of CPU), "
        f"{worked / len(sim.attempts) * 1e6:.0f} us each"
    )


if __name__ == "__main__":
    main()
