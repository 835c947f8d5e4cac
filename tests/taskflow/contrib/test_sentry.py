"""What Sentry is told: last attempts, check-ins of schedules, and no payloads."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from taskflow import Broker, Event, Registry, Reject, Retry, Worker, every, publish, task
from taskflow.contrib.sentry import report_to_sentry, slug
from taskflow.message import Message
from taskflow.retry import Dead
from taskflow.testing import ManualClock

SECRET = "4242424242424242"
Told = Callable[[str], list[Any]]


class Kept(Transport):
    """Sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [(item.type, item.payload.json) for item in envelope.items]


@pytest.fixture
def told() -> Iterator[Told]:
    """Answers what was sent of a kind (`event`, `check_in`)."""
    kept = Kept()
    sentry_sdk.init(dsn="http://key@sentry.test/1", transport=kept, default_integrations=False)
    yield lambda kind: [payload for found, payload in kept.items if found == kind]
    sentry_sdk.init()


@pytest.mark.parametrize(("attempts", "issues"), [("last", 1), ("all", 2)])
def test_the_last_attempt_is_an_issue(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    told: Told,
    attempts: Any,
    issues: int,
) -> None:
    taskflow_registry.use(report_to_sentry(taskflow_registry, attempts=attempts))

    @taskflow_registry.subscribe("paid", queue="work", retries=2, backoff=1.0)
    def charge(event: Event[Any]) -> None:
        if event.attempt == 1:
            raise Retry(after=1.0)
        raise ConnectionError("the bank is away")

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    event_id = publish("paid", {"card": SECRET})
    for _ in range(3):
        worker.drain()
        taskflow_clock.advance(5)
    assert taskflow_broker.counts("work-dlq").visible == 1
    found = told("event")
    assert len(found) == issues
    issue = found[-1]
    error = issue["exception"]["values"][-1]
    assert (error["type"], error["value"]) == ("ConnectionError", "the bank is away")
    assert [frame["function"] for frame in error["stacktrace"]["frames"]][-1] == "charge"
    fields = issue["contexts"]["taskflow"]
    assert (fields["event"], fields["queue"], fields["attempt"]) == (event_id, "work", 3)
    assert issue["transaction"].endswith(".charge")
    assert len(issue["tags"]["taskflow.trace_id"]) == 32
    assert SECRET not in str(found)


def test_a_dead_letter_without_an_exception_is_an_issue_by_its_reason(
    taskflow_broker: Broker, taskflow_registry: Registry, told: Told
) -> None:
    taskflow_registry.use(report_to_sentry(taskflow_registry))
    taskflow_registry.use(lambda context, run: Dead("its worker was killed each time"))

    @taskflow_registry.subscribe("made", queue="work")
    def on_made(event: object) -> None: ...

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    publish("made", SECRET)
    worker.drain()
    (issue,) = told("event")
    assert (issue["message"], issue["level"]) == ("its worker was killed each time", "error")


def test_a_trace_that_is_none_is_no_reason_to_fail(
    taskflow_broker: Broker, taskflow_registry: Registry, told: Told
) -> None:
    taskflow_registry.use(report_to_sentry(taskflow_registry))

    @taskflow_registry.subscribe("made", queue="work")
    def on_made(event: object) -> None: ...

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": "made", "traceparent": "x"}
    taskflow_broker.send("work", [Message("m", json.dumps(event))])
    worker.drain()
    assert taskflow_broker.counts("work").handled == 1
    assert told("event") == []


def test_runs_of_a_schedule_check_in(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, told: Told
) -> None:
    taskflow_registry.use(report_to_sentry(taskflow_registry))
    wrong = [OSError(), None, Reject("never"), None]

    @every("2h", name="Nightly/Report")
    @task(queue="work", retries=1, registry=taskflow_registry)
    def report() -> None:
        error = wrong.pop(0)
        if error is not None:
            raise error

    @every("30s", name="often")
    @task(queue="work", registry=taskflow_registry)
    def often() -> None: ...

    @task(queue="work", registry=taskflow_registry)
    def by_hand() -> None: ...

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    by_hand.delay()
    worker.drain()
    for _ in range(3):
        taskflow_clock.advance(3600)
        worker.drain()
        taskflow_clock.advance(3600)
        worker.drain()
    found = told("check_in")
    assert [(one["monitor_slug"], one["status"]) for one in found] == [
        ("nightly-report", "in_progress"),
        ("nightly-report", "ok"),  # after a retry
        ("nightly-report", "in_progress"),
        ("nightly-report", "error"),
        ("nightly-report", "in_progress"),
        ("nightly-report", "ok"),
    ]
    ids = [one["check_in_id"] for one in found]
    assert ids[0::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert found[0]["monitor_config"] == {
        "schedule": {"type": "interval", "value": 2, "unit": "hour"}
    }


def test_names_of_monitors_are_what_sentry_takes() -> None:
    assert slug("report/cus_17") == "report-cus_17"
    long = [slug("x" * 60 + end) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(one) == 50 for one in long)
    assert slug("///")
    with pytest.raises(ValueError, match="allowed: last, all"):
        report_to_sentry(attempts="first")  # type: ignore[arg-type]
