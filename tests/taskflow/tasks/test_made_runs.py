"""Calls that were written by hand: with `result` they are runs, named by their message's id."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Result, Retry, task
from taskflow.errors import NoResult, RunFailed
from taskflow.message import FAILURE, Message, plain_text

Drain = Callable[[], int]
Later = Callable[[float], int]


@pytest.fixture
def by_hand(taskflow_broker: Broker) -> Callable[[str, str], Result[object]]:
    """Send a message, and find its result."""

    def send(id: str, body: str) -> Result[object]:
        taskflow_broker.send("default", [Message(id, body, headers={"locale": "de"})])
        return Result(id, broker=taskflow_broker)

    return send


By = Callable[[str, str], Result[object]]


def test_the_result_has_the_id_of_the_message(
    taskflow_registry: Registry, drain: Drain, later: Later, by_hand: By
) -> None:
    tries = []

    @task(registry=taskflow_registry, name="add", retries=1)
    def add(x: int, y: int = 1) -> int:
        tries.append(x)
        if len(tries) == 1:
            raise Retry(after=5)
        return x + y

    drain()
    result = by_hand("m1", '{"task": "add", "args": [2], "result": "1h"}')
    other = by_hand("m2", '{"task": "add", "args": [5], "kwargs": {"y": 5}, "result": 60}')
    none = by_hand("m3", '{"task": "add", "args": [7]}')
    drain()
    assert (result.state, result.attempts) == ("retrying", 1)
    later(5)
    assert (result.get(0), other.get(0), result.attempts) == (3, 10, 2)
    with pytest.raises(NoResult):
        none.get(0)
    later(60)
    assert (result.state, other.state) == ("done", "unknown")


def test_a_failure_is_kept_too(taskflow_registry: Registry, drain: Drain, by_hand: By) -> None:
    task(registry=taskflow_registry, name="t", retries=0)(lambda: 1 / 0)
    drain()
    result = by_hand("m1", '{"task": "t", "result": "1h"}')
    drain()
    with pytest.raises(RunFailed, match="ZeroDivisionError"):
        result.get(0)


def test_it_may_be_cancelled_once_a_worker_has_seen_it(
    taskflow_registry: Registry, drain: Drain, later: Later, by_hand: By
) -> None:
    @task(registry=taskflow_registry, name="t")
    def t() -> None:
        raise Retry(after=5)

    drain()
    result = by_hand("m1", '{"task": "t", "result": "1h"}')
    drain()
    assert result.cancel()
    later(5)
    assert result.state == "cancelled"


@pytest.mark.parametrize("given", ['"soon"', "0", "-1", '"20y"', "true"])
def test_a_time_that_cannot_be_is_a_dead_letter_that_says_so(
    given: str, taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain, by_hand: By
) -> None:
    task(registry=taskflow_registry, name="t")(lambda: None)
    drain()
    by_hand("m1", f'{{"task": "t", "result": {given}}}')
    drain()
    (letter,) = taskflow_broker.peek("default-dlq")
    assert "result" in plain_text(letter.attributes[FAILURE])


def test_an_id_of_another_run_proves_nothing(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain, by_hand: By
) -> None:
    runs = []

    @task(registry=taskflow_registry, name="t", result="1h")
    def t(x: int) -> int:
        runs.append(x)
        return x

    drain()
    mine = t.delay(1)
    drain()
    by_hand(mine.id, '{"task": "t", "args": [2], "result": "1h"}')
    drain()
    assert (runs, mine.get(0)) == ([1], 1)
    (letter,) = taskflow_broker.peek("default-dlq")
    assert "its id was used before" in plain_text(letter.attributes[FAILURE])


def test_a_task_that_is_not_here_has_no_run_yet(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain, by_hand: By
) -> None:
    task(registry=taskflow_registry, name="t")(lambda: None)
    drain()
    result = by_hand("m1", '{"task": "later", "result": "1h"}')
    drain()
    assert result.state == "unknown"
    assert taskflow_broker.counts("default").in_flight == 1  # it is tried again


def test_one_id_in_two_queues_is_the_run_of_the_first(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    runs = []
    queues = ["default", "other"]
    task(registry=taskflow_registry, name="t", queue=queues)(lambda x: runs.append(x))
    drain()
    for queue in queues:
        message = Message("m1", '{"task": "t", "args": [1], "result": "1h"}')
        taskflow_broker.send(queue, [message])
    drain()
    assert runs == [1]
    assert Result("m1", broker=taskflow_broker).state == "done"
