"""The backend of Django's tasks: on Python 3.12 and newer over Django's own interface, on 3.11 over
that of its back-port."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from taskflow import Broker, Registry, Result, task
from taskflow.contrib.django import TaskflowBackend
from taskflow.contrib.django.interface import (
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)
from taskflow.testing import ManualClock, drain
from tests.taskflow.django_settings import configure

try:
    from django.tasks import task as django_task
    from django.tasks import task_backends
except ImportError:
    from django_tasks import task as django_task
    from django_tasks import task_backends

BACKEND = "taskflow.contrib.django.TaskflowBackend"
Run = Callable[..., list[Any]]
seen: list[Any] = []


def add(x: int, y: int = 0) -> int:
    return x + y


def note(what: Any) -> None:
    seen.append(what)


def pair(x: Any) -> Any:
    return (x, {"of": x})


def make_set() -> Any:
    return {1, 2}


def look(context: Any, *, word: str) -> list[Any]:
    result = context.task_result
    return [context.attempt, word, result.id, str(result.status), len(result.worker_ids)]


def fail(times: int) -> str:
    seen.append("tried")
    if len(seen) <= times:
        raise LookupError("not there yet")
    return "found"


async def add_later(x: int, y: int) -> int:
    return x + await asyncio.to_thread(int, y)


@pytest.fixture(autouse=True)
def fresh(taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tasks of a test are known to its own registry alone."""
    configure()
    monkeypatch.setattr(TaskflowBackend, "registry", taskflow_registry)
    seen.clear()
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default", "mails"]}}):
        yield


@pytest.fixture
def run(taskflow_broker: Broker, taskflow_registry: Registry) -> Run:
    """Runs what is due, and declares queues."""
    return lambda **options: drain(taskflow_broker, taskflow_registry, **options)


def test_a_call_is_run_by_a_worker_and_its_result_is_ours(
    run: Run, taskflow_clock: ManualClock
) -> None:
    adding = django_task(add)
    run()
    result = adding.enqueue(1, y=2)
    assert (result.status, result.args, result.kwargs) == ("READY", [1], {"y": 2})
    assert result.enqueued_at == datetime.fromtimestamp(taskflow_clock.now(), UTC)
    assert not result.is_finished
    assert adding.get_result(result.id).status == TaskResultStatus.READY

    taskflow_clock.advance(5)
    assert [one.handler for one in run()] == [f"{__name__}.add"]
    found = adding.get_result(result.id)
    assert (found.status, found.return_value, found.attempts) == ("SUCCESSFUL", 3, 1)
    assert found.finished_at - found.enqueued_at == timedelta(seconds=5)
    assert found.args == [1]
    result.refresh()
    assert result.return_value == 3


def test_arguments_and_results_are_json_and_annotations_count_for_nothing(run: Run) -> None:
    adding, pairing = django_task(add), django_task(pair)
    making = django_task(make_set)
    run()
    first, second, third = adding.enqueue("a", "b"), pairing.enqueue((1, 2)), making.enqueue()
    run(raise_errors=False)
    assert adding.get_result(first.id).return_value == "ab"
    assert pairing.get_result(second.id).return_value == [[1, 2], {"of": [1, 2]}]
    assert making.get_result(third.id).errors[0].exception_class is TypeError
    with pytest.raises(TypeError, match="Unsupported type"):
        adding.enqueue({1, 2})
    with pytest.raises(TypeError, match="missing a required argument"):
        adding.enqueue()


def test_a_call_waits_for_its_time(run: Run, taskflow_clock: ManualClock) -> None:
    noting = django_task(note)
    run()
    at = datetime.fromtimestamp(taskflow_clock.now(), UTC) + timedelta(days=30)
    result = noting.using(run_after=at).enqueue("later")
    assert (run(), seen) == ([], [])
    assert noting.get_result(result.id).status == "READY"
    taskflow_clock.advance(30 * 86400)
    run()
    assert seen == ["later"]
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        noting.using(run_after=at.replace(tzinfo=None) + timedelta(days=1)).enqueue("naive")
        run()
        assert seen == ["later"]
        run(advance=True)
        assert seen == ["later", "naive"]


def test_the_sign_of_a_priority_is_its_level(run: Run) -> None:
    noting = django_task(note)
    run()
    for priority in (-100, 0, 1, -1, 50):
        noting.using(priority=priority).enqueue(priority)
    run()
    assert seen == [1, 50, 0, -100, -1]


def test_a_task_is_known_on_every_queue_of_the_settings(run: Run, taskflow_broker: Broker) -> None:
    noting = django_task(note)
    run()
    noting.using(queue_name="mails").enqueue("a mail")
    assert taskflow_broker.counts("mails").visible == 1
    run(queues=["mails"])
    assert seen == ["a mail"]
    with pytest.raises(InvalidTask, match="not valid for backend"):
        noting.using(queue_name="others")


def test_without_queues_in_the_settings_a_task_names_its_own(run: Run) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
        noting = django_task(queue_name="letters")(note)
        run()
        noting.enqueue(1)
        run()
        assert seen == [1]
        with pytest.raises(InvalidTask, match=r"'others'.*QUEUES of TASKS\['default'\]"):
            noting.using(queue_name="others")
        with pytest.raises(InvalidTask, match="queue 'no name!'"):
            django_task(queue_name="no name!")(add)


def test_a_task_may_take_djangos_context(run: Run) -> None:
    looking = django_task(takes_context=True)(look)
    run()
    result = looking.enqueue(word="hello")
    run()
    value = looking.get_result(result.id).return_value
    assert value == [1, "hello", result.id, "RUNNING", 1]


def test_a_coroutine_is_a_task(run: Run) -> None:
    adding = django_task(add_later)
    run()
    result = asyncio.run(adding.aenqueue(1, 2))
    run()
    assert asyncio.run(adding.aget_result(result.id)).return_value == 3


def test_a_failure_is_final_unless_retries_are_wanted(run: Run) -> None:
    failing = django_task(fail)
    run()
    result = failing.enqueue(5)
    run(raise_errors=False, advance=True)
    found = failing.get_result(result.id)
    assert (found.status, found.attempts, seen) == ("FAILED", 1, ["tried"])
    assert found.errors[0].exception_class is LookupError
    assert "not there yet" in found.errors[0].traceback
    with pytest.raises(ValueError, match="failed"):
        _ = found.return_value


@pytest.mark.parametrize("by_task", [True, False])
def test_retries_are_an_option_of_the_settings_and_of_a_task(run: Run, by_task: bool) -> None:
    options = {} if by_task else {"retries": 2, "backoff": 1.0}
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        failing = django_task(**({"retries": 2, "backoff": 1.0} if by_task else {}))(fail)
        run()
        result = failing.enqueue(2)
        run(raise_errors=False)
        early = failing.get_result(result.id)
        assert (early.status, early.attempts, len(early.errors)) == ("READY", 1, 1)
        run(raise_errors=False, advance=True)
        found = failing.get_result(result.id)
        assert (found.return_value, found.attempts, found.errors) == ("found", 3, [])


def test_options_of_ours_hold_for_a_task(run: Run, taskflow_registry: Registry) -> None:
    noting = django_task(key="what", limit=3, timeout=5)(note)
    run()
    first, again, other = (noting.enqueue(what).id for what in ("a", "a", "b"))
    assert first == again != other
    run()
    assert seen == ["a", "b"]
    for queue in ("default", "mails"):
        (entry,) = taskflow_registry.on(queue)
        assert (entry.timeout, entry.limit and entry.limit.most) == (5, 3)
    with pytest.raises(InvalidTask, match="goes by 'no'; its arguments are 'x'"):
        django_task(key="no")(pair)


def test_options_that_nobody_knows_are_refused() -> None:
    told = "does not know 'retires'; it knows result, retries, backoff, timeout"
    settings = {"default": {"BACKEND": BACKEND, "OPTIONS": {"retires": 3}}}
    with override_settings(TASKS=settings), pytest.raises(InvalidTaskBackend, match=told):
        _ = task_backends["default"]
    with pytest.raises(TypeError, match="retires"):
        django_task(retires=3)(add)


def test_results_may_not_be_kept(run: Run) -> None:
    options = {"BACKEND": BACKEND, "OPTIONS": {"result": None}}
    with override_settings(TASKS={"default": options}):
        noting = django_task(note)
        assert not task_backends["default"].supports_get_result
        run()
        result = noting.enqueue(1)
        run()
        assert seen == [1]
        with pytest.raises(TaskResultDoesNotExist):
            noting.get_result(result.id)


def test_results_of_what_is_not_here_do_not_exist(run: Run, taskflow_registry: Registry) -> None:
    noting = django_task(note)
    ours = task(registry=taskflow_registry, result="1d")(add)
    run()
    result = ours.delay(1, 2)
    with pytest.raises(TaskResultDoesNotExist, match=r"is of .*add, which TASKS\['default'\]"):
        noting.get_result(result.id)
    with pytest.raises(TaskResultDoesNotExist):
        noting.get_result("nothing")


def test_what_is_cancelled_has_failed(run: Run) -> None:
    noting = django_task(note)
    run()
    result = noting.enqueue(1)
    assert Result(result.id).cancel()
    run()
    found = noting.get_result(result.id)
    assert (seen, found.status, found.attempts) == ([], "FAILED", 0)
    assert found.errors[0].exception_class.__name__ == "RunCancelled"


def test_signals_tell_of_each_step(run: Run) -> None:
    told: list[Any] = []

    def keep(name: str) -> Callable[..., None]:
        def keep(sender: type, task_result: Any, **_: Any) -> None:
            assert sender is TaskflowBackend
            told.append((name, task_result.id, str(task_result.status), task_result.attempts))

        return keep

    kept = [keep("enqueued"), keep("started"), keep("finished")]
    signals = (task_enqueued, task_started, task_finished)
    for signal, one in zip(signals, kept, strict=True):
        signal.connect(one)
    try:
        failing, adding = django_task(retries=1)(fail), django_task(add_later)
        run()
        first, second = failing.enqueue(2).id, adding.enqueue(1, 2).id
        run(raise_errors=False, advance=True)
    finally:
        for signal, one in zip(signals, kept, strict=True):
            signal.disconnect(one)
    assert [one for one in told if one[1] == first] == [
        ("enqueued", first, "READY", 0),
        ("started", first, "RUNNING", 1),
        ("started", first, "RUNNING", 2),
        ("finished", first, "FAILED", 2),
    ]
    assert [one for one in told if one[1] == second] == [
        ("enqueued", second, "READY", 0),
        ("started", second, "RUNNING", 1),
        ("finished", second, "SUCCESSFUL", 1),
    ]


def test_every_thread_has_a_backend_and_all_know_the_same_tasks(run: Run) -> None:
    noting = django_task(note)
    run()
    here = task_backends["default"]

    async def there() -> Any:
        return await asyncio.to_thread(lambda: (task_backends["default"], noting.enqueue(1)))

    other, result = asyncio.run(there())
    assert other is not here
    assert noting.get_result(result.id).status == "READY"
    run()
    assert seen == [1]


def test_a_task_of_another_backend_is_refused(run: Run) -> None:
    dummy = f"{InvalidTask.__module__.removesuffix('.exceptions')}.backends.dummy.DummyBackend"
    with override_settings(TASKS={"default": {"BACKEND": BACKEND}, "none": {"BACKEND": dummy}}):
        noting = django_task(backend="none")(note)
        with pytest.raises(InvalidTask, match=r"decorate it with @task\(backend='default'\)"):
            noting.using(backend="default")
