"""A run that this process cannot read keeps no other waiting: it is a dead letter that says why."""

import json

import pytest

from taskflow import Broker, Registry, chain, task
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.message import FAILURE, plain_text
from taskflow.tasks.run import RUN
from taskflow.worker.worker import Worker

DEEP = "[" * 100_000 + "]" * 100_000  # deeper than any Python reads


def spoil(broker: Broker, id: str, old: str, new: str) -> None:
    """Overwrite a part of the record of a run, as a process that reads more could have written."""
    record = broker.records(RUN, [id])[id]
    assert old in record.value
    put = Put(
        kind=RUN,
        key=id,
        value=record.value.replace(old, new),
        state=record.state,
        label=record.label,
    )
    broker.apply([Change(records=[put])])[0].or_raise()


class App:
    """A task, and what it was called with."""

    def __init__(self, registry: Registry) -> None:
        self.done: list[object] = []

        @task(registry=registry, name="same", result="1d")
        def same(value: object) -> object:
            self.done.append(value)
            return value

        self.same = same


@pytest.fixture
def app(taskflow_registry: Registry) -> App:
    return App(taskflow_registry)


@pytest.fixture
def worker(taskflow_broker: Broker, taskflow_registry: Registry, app: App) -> Worker:
    return Worker(taskflow_broker, registry=taskflow_registry)


def reason_of_the_letter(broker: Broker) -> str:
    (letter,) = broker.peek("default-dlq")
    return str(json.loads(plain_text(letter.attributes[FAILURE]))["reason"])


@pytest.mark.parametrize("spoilt", [DEEP, "nothing"])
def test_one_that_cannot_be_read_is_a_dead_letter(
    taskflow_broker: Broker, worker: Worker, app: App, spoilt: str
) -> None:
    for number in (1, 2, 3):
        app.same.options(id=f"run{number}").delay(f"value{number}")
    spoil(taskflow_broker, "run2", '"value2"', spoilt)
    worker.drain()
    assert app.done == ["value1", "value3"]
    assert "run 'run2' cannot be read here" in reason_of_the_letter(taskflow_broker)


def test_nor_does_what_takes_its_result_run_without_it(
    taskflow_broker: Broker, worker: Worker, app: App
) -> None:
    chain(app.same.s("value1"), app.same.s()).delay()
    worker.step(1)
    assert app.done == ["value1"]
    (before,) = taskflow_broker.list_records(RecordQuery(kind=RUN, states=("done",))).records
    spoil(taskflow_broker, before.key, '"result":"value1"', f'"result":{DEEP}')
    app.same.delay("value2")
    worker.drain()
    assert app.done == ["value1", "value2"]
    assert f"run {before.key!r} cannot be read here" in reason_of_the_letter(taskflow_broker)
