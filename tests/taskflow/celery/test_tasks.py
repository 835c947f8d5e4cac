"""First steps, and tasks: calls, bind, retries, what a task knows of itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry
from taskflow.celery import AsyncResult, Celery, shared_task, states
from taskflow.celery.exceptions import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
)
from taskflow.celery.states import (
    ALL_STATES,
    EXCEPTION_STATES,
    PROPAGATE_STATES,
    READY_STATES,
    UNREADY_STATES,
    WORDS,
)
from taskflow.errors import HandlerTimeout, NoResult, NotPorted, RegistrationError, RunFailed
from taskflow.message import FAILURE, plain_text
from taskflow.retry import RetryPolicy
from taskflow.tasks.run import FINAL, STATES
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]


def noop(*args: Any) -> None:
    """A task that does nothing."""


def dead(broker: Broker, queue: str = "celery") -> list[str]:
    """The failure records of a queue's dead letters."""
    return [plain_text(one.attributes[FAILURE]) for one in broker.peek(f"{queue}-dlq", 10)]


# ---- first steps --------------------------------------------------------------------------------
def test_the_first_steps(app: Celery, drain: Drain) -> None:
    @app.task
    def plus(x: int, y: int) -> int:
        return x + y

    drain()
    result = plus.delay(4, 4)
    assert (result.ready(), result.state, result.status) == (False, "PENDING", "PENDING")
    assert drain() == 1
    assert (result.ready(), result.successful(), result.failed()) == (True, True, False)
    assert result.get(timeout=1) == 8
    assert (result.result, result.state, result.traceback) == (8, states.SUCCESS, None)
    assert AsyncResult(result.id) == result
    assert app.AsyncResult(result.task_id).get() == 8
    assert plus(1, 2) == 3
    assert plus.name == f"{__name__}.plus"
    assert app.tasks == {plus.name: plus}
    result.forget()
    assert AsyncResult(result.id).state == states.PENDING
    with pytest.raises(NoResult):
        result.get()


def test_without_a_backend_nothing_is_kept(taskflow_registry: Registry, drain: Drain) -> None:
    app = Celery("proj", registry=taskflow_registry)
    runs: list[int] = []
    task = app.task(name="t")(runs.append)
    drain()
    result = task.delay(1)
    drain()
    assert runs == [1]
    with pytest.raises(NoResult, match="keeps no result"):
        result.get()
    with pytest.raises(NoResult):
        _ = result.state


def test_ignore_result_of_a_task_and_of_a_call(app: Celery, drain: Drain) -> None:
    quiet = app.task(name="quiet", ignore_result=True)(lambda: 1)
    loud = app.task(name="loud")(lambda: 2)
    drain()
    results = [quiet.delay(), loud.apply_async(ignore_result=True)]
    kept = quiet.apply_async(ignore_result=False)
    drain()
    assert kept.get() == 1
    for result in results:
        with pytest.raises(NoResult):
            result.get()


def test_a_failure_is_not_tried_again(
    app: Celery, drain: Drain, later: Later, taskflow_broker: Broker
) -> None:
    runs: list[int] = []

    @app.task
    def share(n: int) -> float:
        runs.append(n)
        return 1 / n

    drain()
    result = share.delay(0)
    drain()
    later(1000)
    assert runs == [0]
    assert (result.state, result.failed()) == (states.FAILURE, True)
    with pytest.raises(ZeroDivisionError, match="division by zero") as raised:
        result.get()
    assert isinstance(raised.value.__cause__, RunFailed)
    assert isinstance(result.get(propagate=False), ZeroDivisionError)
    assert isinstance(result.info, ZeroDivisionError)
    assert "in share" in str(result.traceback)
    assert len(dead(taskflow_broker)) == 1


def test_an_exception_of_ones_own_is_told_as_text(app: Celery, drain: Drain) -> None:
    class Unpaid(Exception):
        """Of this test."""

    @app.task
    def pay() -> None:
        raise Unpaid("order 7")

    drain()
    result = pay.delay()
    drain()
    with pytest.raises(RunFailed, match="order 7"):
        result.get()
    assert "Unpaid" in repr(result.result.error)


def test_shared_tasks_belong_to_the_current_app(app: Celery, drain: Drain) -> None:
    @shared_task
    def first() -> int:
        return 1

    @shared_task(bind=True, name="second")
    def second(self: Any) -> str:
        return str(self.name)

    drain()
    results = [first.delay(), second.delay()]
    drain()
    assert [one.get() for one in results] == [1, "second"]
    assert first.app is app


def test_arguments_are_checked_when_called_and_annotations_count_for_nothing(
    app: Celery, drain: Drain
) -> None:
    @app.task
    def add(x: int, y: "NoSuchType") -> str:  # type: ignore[name-defined]  # noqa: F821
        return f"{x}{y}"

    @app.task(typing=False)
    def loose(x: int) -> int:
        return x

    drain()
    with pytest.raises(TypeError, match="missing a required argument"):
        add.delay(1)
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        add.delay(1, object())
    result, wrong = add.delay("a", y=1.5), loose.delay(1, 2)
    drain()
    assert result.get() == "a1.5"
    with pytest.raises(TypeError):
        wrong.get()


def test_async_tasks(app: Celery, drain: Drain) -> None:
    @app.task(bind=True)
    async def where(self: Any, x: int) -> list[Any]:
        return [self.request.retries, x]

    drain()
    result = where.delay(3)
    drain()
    assert result.get() == [0, 3]
    assert asyncio.run(where(4)) == [0, 4]


# ---- bind ---------------------------------------------------------------------------------------
def test_a_bound_task_knows_its_request(app: Celery, drain: Drain) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def look(self: Any, x: int, y: int = 0) -> None:
        seen.append(self.request)

    drain()
    result = look.apply_async((1,), {"y": 2}, headers={"tenant": "7"})
    drain()
    look(5)
    worked, direct = seen
    assert (worked.id, worked.correlation_id, worked.root_id) == (result.id,) * 3
    assert (worked.args, worked.kwargs, worked.retries) == ((1,), {"y": 2}, 0)
    assert worked.headers == {"tenant": "7"}
    assert worked.delivery_info["routing_key"] == "celery"
    assert worked.called_directly is False
    assert (direct.id, direct.args, direct.called_directly) == (None, (5,), True)
    assert look.request.id is None


# ---- retries ------------------------------------------------------------------------------------
def test_a_task_asks_for_another_try(app: Celery, drain: Drain, later: Later) -> None:
    tries: list[tuple[str, int]] = []

    @app.task(bind=True, default_retry_delay=30 * 60)
    def send(self: Any, text: str) -> str:
        tries.append((self.request.id, self.request.retries))
        if len(tries) < 3:
            try:
                raise ConnectionError("busy")
            except ConnectionError as error:
                raise self.retry(exc=error, countdown=60 if len(tries) == 1 else None) from error
        return text

    drain()
    result = send.delay("hello")
    drain()
    assert (result.state, result.retries) == (states.RETRY, 0)
    assert later(59) == 0
    assert later(2) == 1
    assert later(1700) == 0
    assert later(101) == 1
    assert tries == [(result.id, 0), (result.id, 1), (result.id, 2)]
    assert (result.get(), result.retries) == ("hello", 2)


def test_the_last_retry_raises_what_went_wrong(
    app: Celery, drain: Drain, later: Later, taskflow_broker: Broker
) -> None:
    tries: list[int] = []

    @app.task(bind=True, max_retries=1, default_retry_delay=1)
    def own(self: Any) -> None:
        tries.append(self.request.retries)
        raise self.retry(exc=KeyError("k"))

    @app.task(bind=True, default_retry_delay=0)
    def none(self: Any) -> None:
        raise self.retry(max_retries=0)

    drain()
    first, second = own.delay(), none.delay()
    for _ in range(4):
        later(2)
    assert tries == [0, 1]
    with pytest.raises(KeyError):
        first.get()
    with pytest.raises(RunFailed, match=MaxRetriesExceededError.__name__):
        second.get()
    assert len(dead(taskflow_broker)) == 2


def test_celerys_defaults_of_retries(app: Celery, later: Later) -> None:
    tries: list[int] = []

    @app.task(bind=True)
    def never(self: Any) -> None:
        tries.append(self.request.retries)
        self.retry()

    later(0)
    never.delay()
    later(0)
    later(179)
    assert tries == [0]
    for _ in range(6):
        later(181)
    assert tries == [0, 1, 2, 3]


def test_eta_of_a_retry(
    app: Celery, later: Later, taskflow_clock: ManualClock, taskflow_broker: Broker
) -> None:
    from taskflow.clock import to_datetime

    tries: list[float] = []

    @app.task(bind=True)
    def wait(self: Any) -> None:
        tries.append(taskflow_clock.now())
        if len(tries) == 1:
            eta = to_datetime(taskflow_clock.now() + 100)
            raise self.retry(eta=eta.replace(tzinfo=None))  # of the zone of the settings: UTC

    later(0)
    wait.delay()
    later(0)
    assert later(99) == 0
    assert later(2) == 1


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({}, [180.0, 180.0, 180.0]),
        ({"retry_backoff": True, "retry_jitter": False}, [1.0, 2.0, 4.0]),
        ({"retry_backoff": 5, "retry_backoff_max": 9, "retry_jitter": False}, [5.0, 9.0, 9.0]),
        ({"retry_kwargs": {"max_retries": 2, "countdown": 7}}, [7.0, 7.0]),
        ({"max_retries": 0}, []),
    ],
)
def test_autoretry_waits_as_celery_does(
    options: dict[str, Any],
    delays: list[float],
    app: Celery,
    later: Later,
    taskflow_clock: ManualClock,
) -> None:
    begun: list[float] = []

    @app.task(autoretry_for=(OSError,), **options)
    def fetch() -> None:
        begun.append(taskflow_clock.now())
        raise ConnectionError("reset")

    later(0)
    result = fetch.delay()
    later(0)
    for delay in delays:
        assert later(delay - 0.01) == 0
        assert later(0.02) == 1
    assert later(10_000) == 0
    assert len(begun) == len(delays) + 1
    with pytest.raises(ConnectionError):
        result.get()


def test_what_is_not_autoretried(app: Celery, later: Later) -> None:
    tries: list[str] = []

    @app.task(autoretry_for=(Exception,), dont_autoretry_for=(KeyError,), default_retry_delay=1)
    def fail(kind: str) -> None:
        tries.append(kind)
        raise KeyError(kind) if kind == "key" else ValueError(kind)

    later(0)
    fail.delay("key")
    fail.delay("value")
    for _ in range(8):
        later(2)
    assert (tries.count("key"), tries.count("value")) == (1, 4)


def test_jitter_and_endless_retries_are_numbers_of_ours(app: Celery) -> None:
    task = app.task(autoretry_for=(OSError,), retry_backoff=2, max_retries=None, name="t")(noop)
    policy = app.registry.on(task.queue)[0].policy
    rule = policy.rule_for(ConnectionError())
    assert rule == RetryPolicy(999, 2.0, 2.0, 600.0, jitter=True)
    assert policy.rule_for(ValueError()) is None


def test_a_retry_that_is_no_retry(app: Celery, drain: Drain, taskflow_broker: Broker) -> None:
    @app.task(bind=True, name="more")
    def more(self: Any) -> None:
        self.retry(max_retries=10)

    @app.task(bind=True, name="other")
    def other(self: Any, x: int) -> None:
        self.retry(args=(2,))

    @app.task(bind=True, name="again")
    def again(self: Any, x: int) -> None:
        self.retry(args=[x], countdown=0)

    drain()
    more.delay()
    other.delay(1)
    again.delay(1)
    drain()
    reasons = dead(taskflow_broker)
    assert len(reasons) == 3
    assert any("raise max_retries in @app.task" in one for one in reasons)
    assert any("a retry is the same message" in one for one in reasons)
    with pytest.raises(ValueError, match="x"):
        app.task(bind=True)(lambda self: self.retry(exc=ValueError("x")))()
    with pytest.raises(Retry):
        app.task(bind=True)(lambda self: self.retry())()


def test_ignore_and_reject(app: Celery, drain: Drain, taskflow_broker: Broker) -> None:
    tries: list[int] = []

    @app.task(bind=True, name="t")
    def t(self: Any, what: str) -> None:
        tries.append(self.request.retries)
        if what == "ignore":
            raise Ignore
        raise Reject("no more", requeue=what == "again" and self.request.retries == 0)

    drain()
    ignored, rejected, again = t.delay("ignore"), t.delay("reject"), t.delay("again")
    drain()
    assert (ignored.state, ignored.get()) == (states.SUCCESS, None)
    assert (rejected.state, again.state) == (states.FAILURE, states.FAILURE)
    assert tries == [0, 0, 0, 1]
    assert all("no more" in one for one in dead(taskflow_broker))


# ---- limits -------------------------------------------------------------------------------------
def test_time_limits_and_rates(app: Celery) -> None:
    app.task(name="soft", soft_time_limit=5, time_limit=9, rate_limit="30/m")(noop)
    app.task(name="hard", time_limit=9, autoretry_for=(SoftTimeLimitExceeded,))(noop)
    app.task(name="none")(noop)
    soft, hard, none = app.registry.on("celery")
    assert (soft.timeout, hard.timeout, none.timeout) == (5, 9, None)
    assert (soft.rate, hard.rate) == (0.5, None)
    assert soft.policy.rule_for(HandlerTimeout()) is None
    assert hard.policy.rule_for(HandlerTimeout()) is not None


# ---- the task's own state -----------------------------------------------------------------------
def test_a_state_of_its_own(app: Celery, drain: Drain) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def upload(self: Any, count: int) -> int:
        result = self.AsyncResult(self.request.id)
        self.update_state(state="PROGRESS", meta={"current": 1, "total": count})
        seen.append((result.state, result.info, result.native.progress[:2]))
        return count

    drain()
    result = upload.delay(2)
    drain()
    assert seen == [("PROGRESS", {"current": 1, "total": 2}, (1.0, 2.0))]
    assert (result.state, result.info) == (states.SUCCESS, 2)


def test_what_a_result_knows_of_the_call(app: Celery, drain: Drain) -> None:
    task = app.task(name="t")(lambda x, y: x)
    drain()
    result = task.delay(1, y=2)
    before = result.date_done
    drain()
    assert (result.name, result.args, result.kwargs) == ("t", [1], {"y": 2})
    assert (before, result.date_done.tzinfo is not None) == (None, True)
    assert result.parent is None
    assert AsyncResult("nosuch").name is None


def test_apply_runs_here(app: Celery, taskflow_broker: Broker) -> None:
    tries: list[int] = []

    @app.task(bind=True, autoretry_for=(OSError,))
    def t(self: Any, n: int) -> int:
        tries.append(self.request.retries)
        if len(tries) < n:
            raise OSError("busy")
        return int(self.request.retries + self.request.is_eager)

    result = t.apply((3,))
    assert (result.get(), result.state, result.successful()) == (3, states.SUCCESS, True)
    tries.clear()
    failed = t.apply(args=(9,))
    assert (failed.failed(), failed.state, len(tries)) == (True, states.FAILURE, 4)
    with pytest.raises(OSError, match="busy"):
        failed.get()
    assert "busy" in str(failed.traceback)
    with pytest.raises(OSError, match="busy"):
        t.apply((99,), throw=True)


def test_options_that_nobody_knows(app: Celery) -> None:
    with pytest.raises(RegistrationError, match="no option 'retires'"):
        app.task(retires=3)(noop)
    with pytest.raises(TypeError, match="takes a function"):
        app.task(1)  # type: ignore[call-overload]
    task = app.task(name="t")(noop)
    with pytest.raises(TypeError, match="does not know 'delay'"):
        task.apply_async((), delay=3)
    with pytest.raises(AttributeError):
        _ = task.nosuch
    with pytest.raises(NotPorted, match="middleware"):
        app.task(on_failure=print)(noop)


def test_every_state_of_a_run_has_a_word_of_celery() -> None:
    assert set(WORDS) == set(STATES)
    assert set(WORDS.values()) == ALL_STATES
    assert {WORDS[state] for state in STATES if state in FINAL} == READY_STATES
    assert PROPAGATE_STATES < EXCEPTION_STATES < READY_STATES | UNREADY_STATES
