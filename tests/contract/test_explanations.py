"""What `taskflow doctor`, `explain` and `schema diff` look at is there over every broker."""

import msgspec
import pytest

from taskflow import Broker, Registry, publish
from taskflow.broker import Finish
from taskflow.broker.settings import WorkerReport
from taskflow.doctor.examining import examine
from taskflow.doctor.looking import look
from taskflow.explaining.naming import Naming
from taskflow.explaining.shown import TopicShown
from taskflow.explaining.telling import tell, tell_sighting
from taskflow.explaining.whereabouts import Whereabouts
from taskflow.publisher import using
from taskflow.schemas.waiting_messages import read_waiting
from taskflow.tasks.decorator import task
from taskflow.tasks.task import Task
from taskflow.testing import ManualClock
from taskflow.topology import declare


class Order(msgspec.Struct):
    """What the handler wants."""

    total: int


@pytest.fixture
def registry() -> Registry:
    found = Registry()

    def record(order: Order) -> None: ...

    found.subscribe("order.created", queue="audit", retries=2, filter={"kind": ["web"]})(record)
    return found


@pytest.fixture
def add(registry: Registry) -> Task[[int], None]:
    def add(x: int) -> None: ...

    return task(queue="jobs", registry=registry, name="shop.add", result="1h")(add)


def test_what_is_wrong_and_what_comes_next_is_told(
    broker: Broker, clock: ManualClock, registry: Registry, add: Task[[int], None]
) -> None:
    scheme = "sqlite" if broker.features.atomic else "aws"
    declare(broker, registry)
    report = WorkerReport("w1", "host", 7, ("audit",), clock.now(), 0, 8, {}, [])
    broker.report(report)
    with using(broker):
        publish("order.created", {"total": 3}, attributes={"kind": "web"})
        bad = publish("order.created", {"total": "3"}, attributes={"kind": "web"})
        run = add.options(delay=7200).delay(1)
        waits = add.delay(2)
    broker.create_queue("theirs")
    broker.pause("theirs")

    # What is wrong: `jobs` has a call, and no worker.
    options = {"idempotency": "dynamodb://finished", "state": "dynamodb://state"}
    facts = look(broker, registry, scheme, options, "us-east-1")
    assert [(one.number, one.about) for one in examine(facts)] == [("TF301", "queue jobs")]
    assert set(facts.queues) == {"audit", "audit-dlq", "jobs", "jobs-dlq", "theirs"}

    # What a name comes to.
    (topic,) = Naming(registry, broker).explain("order.created")
    assert isinstance(topic, TopicShown)
    (route,) = topic.routes
    assert (route.endpoint, route.declared, route.filter) == ("audit", "both", '{"kind": ["web"]}')
    assert route.queue is not None
    assert (route.queue.waiting, route.queue.workers, route.queue.letters) == (2, 1, 0)
    assert "→ queue audit" in "\n".join(tell(topic))
    (task_shown,) = Naming(registry, broker).explain("add")
    assert "shop.add" in "\n".join(tell(task_shown))

    # Where an id is.
    whereabouts = Whereabouts(registry, broker)
    (message,) = whereabouts.find(bad)
    assert (message.queue, message.state) == ("audit", "visible")
    assert "a worker of audit receives it" in "\n".join(tell_sighting(message))
    (later,) = whereabouts.find(run.id)
    assert (later.kind, later.state, later.next[0].at) == ("run", "scheduled", clock.now() + 7200)
    assert [one.kind for one in whereabouts.find(waits.id)] == ["run", "message"]
    assert whereabouts.find("nobody") == []

    # What waits does not fit.
    waiting = read_waiting(broker, registry, limit=100)
    assert [(one.where, one.count, one.first) for one in waiting.misfits] == [
        ("queue audit", 1, bad)
    ]
    assert [(one.where, one.looked, one.held) for one in waiting.looked] == [
        ("queue audit", 2, 2),
        ("queue jobs", 1, 1),
        ("runs", 2, 2),
    ]

    # What was handled is remembered.
    held = broker.receive("audit", limit=2)
    broker.delete([Finish(one, remember=60.0) for one in held])
    (done,) = Whereabouts(registry, broker).find(bad)
    assert (done.kind, done.queue) == ("finished", "audit")
