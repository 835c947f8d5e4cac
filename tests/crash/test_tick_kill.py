"""Processes that fire the same schedules are killed at any moment: each tick is whole, and once."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from taskflow import open_broker, schedules
from tests.crash.processes import check_integrity, child, lines

pytestmark = pytest.mark.crash
SCHEDULES = 50


def test_cases_48_to_50_each_tick_once_whatever_is_killed(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process"
    with closing(open_broker(address)) as broker:
        broker.create_queue("q")
        for number in range(SCHEDULES):
            schedules.put(
                f"s{number}", every=1, task="t", queue="q", overlap="allow", broker=broker
            )
        first = {
            one.name: one.next_tick for one in schedules.list(limit=1000, broker=broker).schedules
        }
        with child("fire_for_ever", address) as survivor:
            for _ in range(4):
                with child("fire_for_ever", address) as victim:
                    lines(victim, 1)
            lines(survivor, 2)
        sent: Counter[str] = Counter()
        ids: set[str] = set()
        while taken := broker.receive("q", limit=10):
            sent.update(one.id.partition("@")[0] for one in taken)
            ids.update(one.id for one in taken)
        assert sent.total() == len(ids)
        for one in schedules.list(limit=1000, broker=broker).schedules:
            assert one.fired == sent[one.name] > 0
            last = max(float(id.partition("@")[2]) for id in ids if id.startswith(f"{one.name}@"))
            assert last == one.last_tick
            begun = first[one.name]  # missed, where the children took long to start
            assert begun is not None
            assert last - begun + 1 == one.fired + one.missed
    check_integrity(address)
