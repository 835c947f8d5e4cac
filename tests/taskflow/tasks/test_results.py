"""What became of a call: states, values, errors, and who may know."""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Context, Registry, Reject, Result, Retry, RetryPolicy, task
from taskflow.errors import (
    DecodeError,
    LimitExceeded,
    NoResult,
    ResultTimeout,
    RunFailed,
)
from taskflow.message import FAILURE, Message, plain_text
from taskflow.tasks.run import STATES
from taskflow.tasks.task_body import run_body
from taskflow.testing import FaultBroker, ManualClock
from tests.taskflow.making import FIXED

Drain = Callable[[], int]
Later = Callable[[float], int]
DAY = 86400.0


def test_from_waiting_to_done(taskflow_registry: Registry, drain: Drain) -> None:
    states: list[str] = []

    @task(registry=taskflow_registry, result="1d")
    def add(x: int, y: int) -> int:
        states.append(result.state)
        return x + y

    drain()
    result = add.delay(1, 2)
    assert (result.state, result.ready, result.created) == ("waiting", False, True)
    with pytest.raises(ResultTimeout, match="is waiting after 0 s"):
        result.get(0)
    assert drain() == 1
    assert (result.state, result.ready, result.attempts) == ("done", True, 1)
    assert result.get() == 3
    assert result.error is None
    assert Result(result.id).get() == 3
    assert {Result(result.id)} == {result}
    assert str(result) == result.id


def test_a_failure_is_kept_as_text(taskflow_registry: Registry, later: Later) -> None:
    @task(registry=taskflow_registry, result="1h", policy=FIXED)
    def fail() -> None:
        raise ValueError("no such order")

    later(0)
    result = fail.delay()
    later(0)
    assert (result.state, result.attempts) == ("retrying", 1)
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ValueError", "no such order")
    later(1)
    later(2)
    assert (result.state, result.attempts) == ("failed", 3)
    with pytest.raises(RunFailed, match="ValueError: no such order") as failed:
        result.get()
    assert "in fail" in failed.value.error.traceback
    assert failed.value.run == result.id


@pytest.mark.parametrize("kind", [FileNotFoundError, Reject])
def test_a_failure_with_a_name_that_is_no_text_is_kept_too(
    kind: type[Exception],
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    drain: Drain,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the names of files are that hold other bytes than UTF-8."""
    caplog.set_level(logging.CRITICAL, "taskflow")  # a report of pytest-xdist is UTF-8
    told: list[str] = []

    @task(registry=taskflow_registry)
    def tell(what: dict[str, str]) -> None:
        told.append(what["message"])

    @task(registry=taskflow_registry, result="1h", retries=0, on_failure=tell)
    def fail() -> None:
        raise kind("no file caf\udce9")

    drain()
    result = fail.delay()
    drain()
    assert result.error is not None
    assert (result.state, result.error.message) == ("failed", r"no file caf\udce9")
    assert told == [r"no file caf\udce9"]
    (letter,) = taskflow_broker.peek("default-dlq")
    assert json.loads(plain_text(letter.attributes[FAILURE]))["message"] == r"no file caf\udce9"


@pytest.mark.parametrize("keep", ["1h", 3600, 3600.0])
def test_a_result_goes_when_its_time_is_over(
    keep: Any, taskflow_registry: Registry, later: Later
) -> None:
    t = task(registry=taskflow_registry, result=keep, name="t")(lambda: 1)
    later(0)
    result = t.delay()
    later(0)
    later(3599)
    assert result.get(0) == 1
    later(2)
    assert result.state == "unknown"
    with pytest.raises(NoResult, match="no run"):
        result.get(0)


def test_unknown_is_not_waiting(taskflow_broker: Broker) -> None:
    result: Result[int] = Result("never-sent")
    assert result.state == "unknown"
    with pytest.raises(NoResult):
        result.get()


def test_a_call_may_keep_its_result_although_its_task_does_not(
    taskflow_registry: Registry, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda: 1)
    kept = task(registry=taskflow_registry, name="kept", result="1h")(lambda: 1)
    drain()
    result = t.options(result="1h").delay()
    without = kept.options(result=None).delay()
    drain()
    assert result.get(0) == 1
    with pytest.raises(NoResult):
        without.get(0)


def test_a_forged_message_of_a_run_is_dead_lettered_and_touches_nothing(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    runs: list[int] = []
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: runs.append(1))
    task(registry=taskflow_registry, name="u", queue="other")(lambda: None)
    drain()
    result = t.options(delay="1d").delay()
    forged = [
        ("default", Message("made-up", run_body(result.id, 1))),
        ("default", Message(result.id, run_body(result.id, 2))),
        ("other", Message(result.id, run_body(result.id, 1))),
        ("default", Message("x", run_body("no-such-run", 1))),
    ]
    for queue, message in forged:
        taskflow_broker.send(queue, [message])
    before = taskflow_broker.records("run", [result.id])
    assert drain() == len(forged)
    assert taskflow_broker.counts("default-dlq").visible == 3
    assert taskflow_broker.counts("other-dlq").visible == 1
    assert taskflow_broker.records("run", [result.id]) == before
    assert runs == []


def test_a_redriven_failure_runs_again(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    fails = [True, False]

    @task(registry=taskflow_registry, result="1h", retries=0)
    def t() -> str:
        if fails.pop(0):
            raise ValueError
        return "mended"

    drain()
    result = t.delay()
    drain()
    assert result.state == "failed"
    assert taskflow_broker.redrive("default-dlq") == 1
    drain()
    assert result.get(0) == "mended"


def test_a_result_that_json_cannot_carry_fails_the_run_at_once(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: object())
    drain()
    result = t.delay()
    assert drain() == 1
    with pytest.raises(RunFailed, match="the result of t cannot be kept"):
        result.get(0)


def test_a_result_of_another_type_than_promised(taskflow_registry: Registry, drain: Drain) -> None:
    @task(registry=taskflow_registry, name="t", result="1h")
    def t() -> int:
        return "text"  # type: ignore[return-value]

    drain()
    result = t.delay()
    drain()
    with pytest.raises(DecodeError, match="Expected `int`"):
        result.get(0)
    assert Result(result.id).get(0) == "text"


def test_a_retry_keeps_all_that_the_call_said(taskflow_registry: Registry, later: Later) -> None:
    seen: list[Any] = []

    @task(registry=taskflow_registry, policy=RetryPolicy(retries=1, jitter=False))
    def t(ctx: Context) -> None:
        assert ctx.event.id == result.id
        seen.append((dict(ctx.headers), ctx.attempt, ctx.run))  # type: ignore[attr-defined]
        if ctx.attempt == 1:
            raise Retry(5)

    later(0)
    result = t.options(headers={"locale": "de"}, key="k", expires="1h", result="1h").delay()
    later(0)
    assert not t.options(key="k").delay().created
    later(5)
    assert seen == [({"locale": "de"}, 1, result.id), ({"locale": "de"}, 2, result.id)]
    assert result.state == "done"


def test_progress_is_stored_ten_times_a_second_and_at_the_end(
    taskflow_registry: Registry, taskflow_clock: ManualClock, drain: Drain
) -> None:
    seen: list[Any] = []

    @task(registry=taskflow_registry, result="1h")
    def t(ctx: Context) -> None:
        for done in range(1, 5):
            ctx.progress(done, 4, "rows")  # type: ignore[attr-defined]
            seen.append(result.progress)
            taskflow_clock.advance(0.04)

    drain()
    result = t.delay()
    assert result.progress is None
    drain()
    assert [step.done for step in seen] == [1, 1, 1, 4]
    assert result.progress == (4, 4, "rows")


def test_a_store_that_is_down_keeps_the_message(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    """Nothing is acknowledged without its result (case 11)."""
    from taskflow import Worker
    from taskflow.errors import BrokerUnavailable

    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    broker = FaultBroker(taskflow_broker)
    worker = Worker(broker, registry=taskflow_registry)
    result = t.delay()
    broker.fail("apply")
    with pytest.raises(BrokerUnavailable):
        worker.step()
    assert result.state == "waiting"
    taskflow_clock.advance(31)
    worker.drain()
    assert result.get(0) == 1


def test_a_waiter_is_woken(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 7)
    drain()
    result = t.delay()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(result.get()))
    thread.start()
    drain()
    thread.join(10)
    assert got == [7]


def test_call_waits(taskflow_registry: Registry, drain: Drain) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda x: x + 1)
    drain()
    with pytest.raises(ResultTimeout):
        t.call(1, timeout=0)
    assert drain() == 1


def test_the_states_are_exactly_these() -> None:
    assert STATES == (
        "unknown", "scheduled", "waiting", "running", "retrying", "suspended", "done", "failed",
        "cancelled", "expired",
    )  # fmt: skip


@pytest.mark.parametrize("how", ["purged", "too old", "deleted"])
def test_a_run_whose_message_is_gone_ends(
    how: str,
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    drain: Drain,
) -> None:
    """Nobody waits for ever, and nobody is kept from its key (case 5, case 61)."""
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda: 1)
    drain()
    result = t.options(key="k").delay()
    if how == "purged":
        assert taskflow_broker.purge("default") == 1
    elif how == "too old":
        taskflow_clock.advance(taskflow_broker.settings("default").retention + 1)
        assert taskflow_broker.receive("default") == []
    else:
        taskflow_broker.delete_queue("default")
    got: list[BaseException] = []

    def wait() -> None:
        try:
            result.get()
        except RunFailed as error:
            got.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while thread.is_alive():
        taskflow_clock.wait_until(lambda parked: parked > 0 or bool(got), 10)
        taskflow_clock.advance(31)
        thread.join(0.01)
    assert "its message is no longer in queue 'default'" in str(got[0])
    drain()
    assert t.options(key="k").delay().created


def test_what_is_too_large_is_refused(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", result="1h")(lambda size, *rest: "x" * size)
    drain()
    with pytest.raises(LimitExceeded, match="the arguments of t are 2000"):
        t.delay(1, "x" * 2_000_000)
    result = t.delay(2_000_000)
    drain()
    with pytest.raises(RunFailed, match="is 2000002 bytes; 1048576 are kept at most"):
        result.get(0)


def test_a_retry_from_an_exception_keeps_what_that_was(
    taskflow_registry: Registry, drain: Callable[[], int], taskflow_broker: Broker
) -> None:
    @task(registry=taskflow_registry, name="t", result="1h", retries=0)
    def t() -> None:
        try:
            raise ConnectionError("no route")
        except ConnectionError as error:
            raise Retry(after=5) from error

    drain()
    result = t.delay()
    drain()
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ConnectionError", "no route")
    assert "Retry" in result.error.traceback
    (letter,) = taskflow_broker.peek("default-dlq")
    assert '"error": "ConnectionError"' in plain_text(letter.attributes[FAILURE])
