"""What workers say of themselves."""

from taskflow.broker import Broker, WorkerReport
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

NEEDS = ("coordination",)


def report(id: str) -> WorkerReport:
    handlers = {"h": {"runs": 3, "failed": 1, "seconds": 0.5, "most": 0.25}}
    failure = {"at": 1.5, "queue": "work", "error": "ValueError"}
    return WorkerReport(id, "host", 7, ("work", "other"), 1000.0, 2, 8, handlers, [failure])


def test_workers_are_listed_while_they_report(broker: Broker, clock: ManualClock) -> None:
    broker.report(report("w1"))
    clock.advance(20)
    broker.report(report("w2"))
    first, second = broker.workers(within=30)
    assert (first.id, first.seen_at, second.id, second.seen_at) == ("w1", 1000.0, "w2", 1020.0)
    assert (first.queues, first.handlers["h"]["failed"], first.failures[0]["error"]) == (
        ("work", "other"),
        1,
        "ValueError",
    )
    clock.advance(15)
    assert [found.id for found in broker.workers(within=30)] == ["w2"]
    broker.retire("w2")
    assert broker.workers(within=30) == []


__all__ = collected(globals(), NEEDS)
