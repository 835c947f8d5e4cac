"""Looking at a broker: what it refuses to tell, what is late, and who reports."""

from collections.abc import Collection, Mapping

import pytest

from taskflow import Broker, Registry, every
from taskflow.broker import QueueSettings
from taskflow.broker.settings import Surveyed
from taskflow.doctor.examining import examine
from taskflow.doctor.looking import look
from taskflow.errors import BrokerUnavailable, LimitExceeded
from taskflow.publisher import using
from taskflow.tasks.decorator import task
from taskflow.testing import ManualClock
from taskflow.topology import declare
from tests.taskflow.doctor.cases import registry


def found(broker: Broker, of: Registry, scheme: str = "sqlite") -> list[tuple[str, str]]:
    options = (
        {"idempotency": "dynamodb://events", "state": "dynamodb://records"}
        if scheme == "aws"
        else {}
    )
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


def test_what_one_queue_refuses_to_tell_hides_no_other(
    taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = registry()
    declare(taskflow_broker, code)
    taskflow_broker.create_queue("secret")
    taskflow_broker.create_queue("gone")
    survey = taskflow_broker.survey

    def surveyed(queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        if queues is None or "secret" in queues:
            raise BrokerUnavailable("AWS does not allow sqs:GetQueueAttributes")
        return survey([one for one in queues if one != "gone"])

    monkeypatch.setattr(taskflow_broker, "survey", surveyed)
    facts = look(taskflow_broker, code, "aws", {})
    assert facts.untold == ["AWS does not allow sqs:GetQueueAttributes"]
    assert set(facts.queues) == {"work", "work-dlq"}


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
