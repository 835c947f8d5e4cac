"""One delivery through one handler to one outcome, whatever the handler does."""

import random
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from taskflow import Context, Event, Middleware, Registry, Reject, RetryPolicy
from taskflow.errors import DecodeError, NoHandler
from taskflow.event import current
from taskflow.middleware import Run
from taskflow.retry import Dead, Done, Outcome, Retry
from taskflow.testing import ManualClock
from taskflow.worker.execute import execute, find_job
from taskflow.worker.job import Job
from tests.taskflow.making import cloud_event, delivery

Execute = Callable[..., Any]
FIXED = RetryPolicy(retries=2, backoff=1.0, jitter=False)


@pytest.fixture
def run(taskflow_registry: Registry) -> Execute:
    """Run a handler once, as the subscriber of `made` on `work`."""

    def run(
        handler: Callable[..., Any] | None,
        body: Any = None,
        *middleware: Middleware,
        attempt: int = 1,
        topic: str = "made",
        **options: Any,
    ) -> Outcome:
        if handler is not None:
            options.setdefault("policy", FIXED)
            taskflow_registry.subscribe("made", queue="work", **options)(handler)
        job = find_job(delivery(body, topic, attempt), taskflow_registry)
        return execute(
            job, clock=ManualClock(1000.0), random=random.Random(7), middleware=middleware
        )

    return run


def failing(error: BaseException) -> Callable[[object], None]:
    def fail(event: object) -> None:
        raise error

    return fail


def test_a_handler_that_returns_is_done(run: Execute) -> None:
    seen: list[object] = []
    assert run(lambda event: seen.append(event)) == Done()
    assert seen == [None]


def test_an_async_handler_is_awaited(run: Execute) -> None:
    seen: list[object] = []

    async def handle(event: Event[Any]) -> None:
        seen.append(event.id)

    assert run(handle) == Done()
    assert seen == ["e1"]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(1), GeneratorExit(), BaseException("odd")]
)
def test_whatever_a_handler_raises_is_a_failed_attempt(run: Execute, error: BaseException) -> None:
    assert run(failing(error)) == Retry(1.0, error)


def test_sys_exit_in_an_async_handler_is_a_failed_attempt(run: Execute) -> None:
    async def handle(event: object) -> None:
        raise SystemExit(3)

    assert isinstance(run(handle).error, SystemExit)


def test_the_interrupt_of_the_user_goes_through(run: Execute) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(failing(KeyboardInterrupt()))


def test_an_interrupt_in_another_thread_is_a_failed_attempt(run: Execute) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(failing(KeyboardInterrupt()))))
    thread.start()
    thread.join()
    assert isinstance(outcomes[0], Retry)


def test_reject_dead_letters_with_its_reason(run: Execute) -> None:
    assert run(failing(Reject("fraud"))).reason == "fraud"


def test_the_attempt_number_decides_between_retry_and_dead(run: Execute) -> None:
    error = ValueError("no")
    assert run(failing(error), attempt=2) == Retry(2.0, error)
    assert run(None, attempt=3) == Dead("failed 3 times", error)


def test_a_message_its_handler_may_not_see_again_is_dead_without_a_run(run: Execute) -> None:
    outcome = run(failing(AssertionError("ran")), attempt=4)
    assert outcome == Dead(
        "started 3 times and never finished: its worker was killed or lost its lease each time"
    )


def test_what_is_no_event_is_dead_at_once(run: Execute) -> None:
    outcome = run(failing(AssertionError("ran")), "hello")
    assert "no CloudEvents JSON" in outcome.reason
    assert isinstance(outcome.error, DecodeError)


def test_a_payload_that_does_not_fit_is_dead_at_once(run: Execute) -> None:
    def handle(count: int) -> None: ...

    outcome = run(handle, cloud_event(data="secret"))
    assert outcome.reason == "the payload does not fit: Expected `int`, got `str`"


@dataclass
class Fussy:
    kind: str

    def __post_init__(self) -> None:
        raise KeyError(self.kind)


def test_a_payload_type_that_raises_is_a_failed_attempt(run: Execute) -> None:
    def handle(event: Fussy) -> None: ...

    outcome = run(handle, cloud_event(data={"kind": "x"}))
    assert isinstance(outcome, Retry)
    assert isinstance(outcome.error, KeyError)


def test_a_body_nested_too_deep_is_dead_at_once(run: Execute) -> None:
    deep = '{"specversion": "1.0", "data": ' + "[" * 100_000
    assert "recursion" in run(failing(AssertionError("ran")), deep).reason
    assert "recursion" in run(None, deep, topic="").error.args[0]


def test_a_handler_that_forgets_to_await_is_a_failure(run: Execute) -> None:
    async def work() -> None: ...

    def handle(event: object) -> Coroutine[Any, Any, None]:
        return work()

    assert "returned a coroutine that nobody awaits" in str(run(handle).error)


def test_a_finished_event_is_done_without_a_run(taskflow_registry: Registry) -> None:
    taskflow_registry.subscribe("made", queue="work")(failing(AssertionError("ran")))
    job = find_job(delivery(), taskflow_registry)
    job.duplicate = True
    outcome = execute(job, clock=ManualClock(), random=random.Random(7))
    assert outcome == Done(duplicate=True)


# ---- who handles it ---------------------------------------------------------------------------
def test_the_topic_of_the_message_finds_the_handler(taskflow_registry: Registry) -> None:
    taskflow_registry.subscribe("made", queue="work")(failing(ValueError()))
    found = find_job(delivery(cloud_event(type="other")), taskflow_registry)
    assert found.entry is not None


def test_a_message_sent_to_the_queue_is_found_by_its_envelope(taskflow_registry: Registry) -> None:
    taskflow_registry.subscribe("made", queue="work")(failing(ValueError()))
    assert find_job(delivery(topic=""), taskflow_registry).entry is not None
    assert find_job(delivery("junk", topic=""), taskflow_registry).entry is None


def test_no_handler_is_tried_again_since_another_worker_may_have_one(run: Execute) -> None:
    outcome = run(None)
    assert isinstance(outcome, Dead), "no handler at all on this queue"
    run(failing(ValueError()), retries=5, policy=None)
    outcome = run(None, topic="lost")
    assert isinstance(outcome, Retry)
    assert isinstance(outcome.error, NoHandler)
    assert "no handler for topic 'made' on queue 'work'" in str(outcome.error)


def test_no_handler_is_dead_before_the_redrive_policy_hides_the_reason(run: Execute) -> None:
    run(failing(ValueError()), retries=0, policy=None)
    outcome = run(None, topic="lost")
    assert isinstance(outcome, Dead)
    assert isinstance(outcome.error, NoHandler)


# ---- context ----------------------------------------------------------------------------------
def test_a_handler_knows_about_its_run(run: Execute, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Context] = []

    def handle(event: Event[Any], ctx: Context) -> None:
        seen.append(ctx)
        assert ctx.event is event
        assert current.get() is event
        ctx.logger.warning("careful")

    run(handle, cloud_event(id="e7"), attempt=2, timeout=30)
    (context,) = seen
    assert (context.queue, context.attempt, context.deadline) == ("work", 2, 1030.0)
    assert context.handler.endswith("handle")
    assert current.get() is None
    record = caplog.records[-1]
    assert record.name == "taskflow.handler"
    assert {"event": "e7", "queue": "work", "attempt": 2}.items() <= vars(record).items()


def test_without_a_timeout_there_is_no_deadline(run: Execute) -> None:
    seen: list[float | None] = []

    def handle(event: object, ctx: Context) -> None:
        seen.append(ctx.deadline)

    run(handle, timeout=None)
    assert seen == [None]


# ---- middleware -------------------------------------------------------------------------------
def noting(name: str, notes: list[str]) -> Middleware:
    def note(context: Context, run: Run) -> Outcome:
        notes.append(f"{name} before")
        outcome = run(context)
        notes.append(f"{name} after {type(outcome).__name__}")
        return outcome

    return note


def breaking(context: Context, run: Run) -> Outcome:
    raise OSError("no database")


def test_the_first_middleware_is_outermost(run: Execute) -> None:
    notes: list[str] = []
    run(lambda event: notes.append("handler"), None, noting("a", notes), noting("b", notes))
    assert notes == ["a before", "b before", "handler", "b after Done", "a after Done"]


def test_middleware_sees_the_outcome_of_a_failure(run: Execute) -> None:
    notes: list[str] = []
    run(failing(ValueError("no")), None, noting("a", notes))
    assert notes == ["a before", "a after Retry"]


def test_what_middleware_raises_is_a_failed_attempt_that_the_outer_ones_see(run: Execute) -> None:
    notes: list[str] = []
    outcome = run(failing(AssertionError("ran")), None, noting("a", notes), breaking)
    assert isinstance(outcome.error, OSError)
    assert notes == ["a before", "a after Retry"]


def test_middleware_runs_for_undecodable_messages_too(run: Execute) -> None:
    notes: list[str] = []
    run(failing(AssertionError("ran")), "junk", noting("a", notes))
    assert notes == ["a before", "a after Dead"]


def test_middleware_may_decide_otherwise(run: Execute) -> None:
    def forgive(context: Context, run: Run) -> Outcome:
        run(context)
        return Done()

    assert run(failing(ValueError("no")), None, forgive) == Done()


def test_middleware_that_returns_nothing_is_named(run: Execute) -> None:
    def forgetful(context: Context, run: Run) -> Outcome:
        run(context)
        return None  # type: ignore[return-value]

    outcome = run(lambda event: None, None, forgetful)
    assert "forgetful returned None, not the outcome of run(context)" in str(outcome.error)


def test_a_job_is_not_a_duplicate_by_default(taskflow_registry: Registry) -> None:
    assert Job(delivery(), None, FIXED).duplicate is False
