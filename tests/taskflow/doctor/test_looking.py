"""Looking at a broker: what it refuses to tell, what is late, and who reports."""

from collections.abc import Collection, Mapping

import pytest

from taskflow import Broker, Registry, every
from taskflow.broker import QueueCounts, QueueSettings
from taskflow.doctor.examining import examine
from taskflow.doctor.looking import look
from taskflow.errors import BrokerUnavailable, LimitExceeded, QueueNotFound
from taskflow.publisher import using
from taskflow.tasks.decorator import task
from taskflow.testing import ManualClock
from taskflow.topology import declare
from tests.taskflow.doctor.cases import registry


def found(broker: Broker, of: Registry, scheme: str = "sqlite") -> list[tuple[str, str]]:
    table = "dynamodb://events"
    options = {"idempotency": table, "state": table} if scheme == "aws" else {}
    facts = look(broker, of, scheme, options, "eu-west-1")
    return [(one.number, one.about) for one in examine(facts)]


def refuse(*_: object, **__: object) -> list[str]:
    raise BrokerUnavailable("AWS does not allow sns:ListTopics: not authorized")


def test_what_is_refused_is_a_finding_and_the_rest_is_looked_at(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = registry()
    declare(taskflow_broker, code)
    taskflow_broker.set_queue("work", QueueSettings())
    monkeypatch.setattr(taskflow_broker, "topics", refuse)
    numbers = [one for one, _ in found(taskflow_broker, code, "aws")]
    assert {"TF503", "TF208"} <= set(numbers)


def test_a_broker_that_is_away_is_no_finding_of_one_part(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[str]:
        raise BrokerUnavailable("no connection")

    monkeypatch.setattr(taskflow_broker, "topics", away)
    with pytest.raises(BrokerUnavailable, match="no connection"):
        look(taskflow_broker, registry(), "sqlite", {})


def test_a_queue_that_goes_meanwhile_is_none(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = registry()
    declare(taskflow_broker, code)
    taskflow_broker.create_queue("gone")
    counts = taskflow_broker.counts

    def counted(queue: str) -> QueueCounts:
        if queue == "gone":
            raise QueueNotFound(queue)
        return counts(queue)

    monkeypatch.setattr(taskflow_broker, "counts", counted)
    assert found(taskflow_broker, code) == []


@pytest.mark.parametrize("error", [None, LimitExceeded("NoSuchEntity")])
def test_rights_are_asked_where_a_broker_has_some(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def denied(wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        if error is not None:
            raise error
        return {one: ["sqs:SendMessage"] for one in wanted if one.endswith(":work-dlq")}

    code = registry()
    declare(taskflow_broker, code)
    monkeypatch.setattr(taskflow_broker, "account", lambda: "123456789012", raising=False)
    monkeypatch.setattr(taskflow_broker, "denied", denied, raising=False)
    expected = ("TF502", "rights")
    if error is None:
        expected = ("TF501", "arn:aws:sqs:eu-west-1:123456789012:work-dlq")
    assert found(taskflow_broker, code, "aws") == [expected]


def test_ticks_and_calls_that_nobody_sends_are_late(
    taskflow_broker: Broker, taskflow_clock: ManualClock, taskflow_registry: Registry
) -> None:
    @every("1h")
    @task(queue="work", registry=taskflow_registry, name="tidy")
    def tidy() -> None: ...

    declare(taskflow_broker, taskflow_registry)
    for tender in taskflow_registry.tenders:
        tender.declare(taskflow_broker)
    with using(taskflow_broker):
        tidy.options(delay=7200, result="1h").delay()
    assert found(taskflow_broker, taskflow_registry) == []
    taskflow_clock.advance(7300)
    assert found(taskflow_broker, taskflow_registry) == [
        ("TF321", "schedule tidy"),
        ("TF324", "calls"),
    ]
