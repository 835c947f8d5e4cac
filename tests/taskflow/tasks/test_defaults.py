"""What settings say of tasks that do not say it: which wins, when it is read, what is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Registry, RetryPolicy, config, send_task, task
from taskflow.config import KNOWN
from taskflow.errors import ConfigError, NoResult
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.defaults import BUILT_IN, PREFIX
from taskflow.tasks.task_entry import TaskEntry

Drain = Callable[[], int]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and no settings of tasks in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in KNOWN:
        monkeypatch.delenv(f"TASKFLOW_{name.upper()}", raising=False)
    return tmp_path


def write(*lines: str) -> None:
    Path("setup.cfg").write_text("\n".join(("[taskflow]", *lines, "")), encoding="utf-8")


def made(registry: Registry, **options: Any) -> TaskEntry:
    """What a worker knows of a task that says this of itself."""

    @task(name="shop.add", registry=registry, **options)
    def add(x: int) -> int:
        return x

    entry = task_engine(registry).tasks.find_task(add.name)
    assert entry is not None
    return entry


def test_the_settings_are_those_that_the_configuration_knows() -> None:
    assert {PREFIX + name for name in BUILT_IN} == {name for name in KNOWN if name[:5] == PREFIX}


def test_without_settings_a_task_is_what_it_always_was(taskflow_registry: Registry) -> None:
    entry = made(taskflow_registry)
    assert (entry.queue, entry.policy, entry.keep, entry.keep_failed) == (
        "default",
        RetryPolicy(),
        0.0,
        0.0,
    )
    assert (entry.timeout, entry.window, entry.visibility_timeout) == (300.0, 3600.0, 30.0)
    assert (entry.concurrency, entry.rate) == (None, None)


SAID: Mapping[str, tuple[str, Callable[[TaskEntry], Any], Any, Any, Any]] = {
    "queue": ("mails", lambda entry: entry.queue, "mails", "urgent", "urgent"),
    "retries": ("7", lambda entry: entry.policy.retries, 7, 2, 2),
    "backoff": ("1m", lambda entry: entry.policy.backoff, 60.0, 5, 5),
    "timeout": ("10m", lambda entry: entry.timeout, 600.0, None, None),
    "result": ("1d", lambda entry: entry.keep, 86400.0, None, 0.0),
    "result_failed": ("2d", lambda entry: entry.keep_failed, 172800.0, "1h", 3600.0),
    "idempotent": ("no", lambda entry: entry.window, 0.0, True, 3600.0),
    "window": ("2h", lambda entry: entry.window, 7200.0, 60, 60),
    "visibility_timeout": ("90", lambda entry: entry.visibility_timeout, 90.0, 45, 45),
    "concurrency": ("4", lambda entry: entry.concurrency, 4, None, None),
    "rate": ("30/m", lambda entry: entry.rate, 0.5, None, None),
}
"""Of each option: a setting, where it shows, as what; what the decorator may say, as what."""


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_left_out_is_what_the_file_says(name: str, taskflow_registry: Registry) -> None:
    text, look, found, _, _ = SAID[name]
    write(f"task_{name} = {text}")
    assert look(made(taskflow_registry)) == found


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_the_decorator_says_wins(name: str, taskflow_registry: Registry) -> None:
    text, look, _, own, found = SAID[name]
    write(f"task_{name} = {text}")
    assert look(made(taskflow_registry, **{name: own})) == found


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_variable_comes_before_the_file(
    name: str, taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, look, found, _, _ = SAID[name]
    write("task_queue = other", "task_retries = 1", "task_backoff = 9", "task_result = 1h")
    monkeypatch.setenv(f"TASKFLOW_TASK_{name.upper()}", text)
    assert look(made(taskflow_registry)) == found


@pytest.mark.parametrize(
    ("name", "look", "found"),
    [
        ("timeout", lambda entry: entry.timeout, None),
        ("result", lambda entry: entry.keep, 0.0),
        ("concurrency", lambda entry: entry.concurrency, None),
        ("rate", lambda entry: entry.rate, None),
    ],
)
def test_none_is_what_it_is_in_the_decorator(
    name: str, look: Callable[[TaskEntry], Any], found: Any, taskflow_registry: Registry
) -> None:
    write(f"task_{name} = None")
    assert look(made(taskflow_registry)) == found


def test_a_policy_has_retries_of_its_own(taskflow_registry: Registry) -> None:
    write("task_retries = 7", "task_backoff = 60")
    policy = RetryPolicy(retries=1, backoff=2)
    assert made(taskflow_registry, policy=policy).policy == policy


def test_a_window_that_is_said_makes_a_task_idempotent(taskflow_registry: Registry) -> None:
    write("task_idempotent = false", "task_window = 2h")
    assert made(taskflow_registry, window=60).window == 60


def test_one_that_is_not_idempotent_has_no_window(taskflow_registry: Registry) -> None:
    write("task_window = 2h")
    assert made(taskflow_registry, idempotent=False).window == 0


def test_a_task_without_options_takes_them_too(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    write("task_queue = mails", "task_result = 1d")

    @task(registry=taskflow_registry)
    def add(x: int) -> int:
        return x + 1

    drain()
    result = add.delay(1)
    assert taskflow_broker.counts("mails").visible == 1
    drain()
    assert result.get(0) == 2


def test_who_calls_by_name_means_the_same_queue(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    write("task_queue = mails")
    seen: list[int] = []

    @task(name="shop.note", registry=taskflow_registry)
    def note(x: int) -> None:
        seen.append(x)

    drain()
    send_task("shop.note", [1])
    drain()
    assert seen == [1]


def test_they_are_read_when_the_function_becomes_a_task(
    taskflow_registry: Registry, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like all that is said above a function: what is set later is for tasks that come later."""

    @task(registry=taskflow_registry)
    def early(x: int) -> int:
        return x

    monkeypatch.setenv("TASKFLOW_TASK_RESULT", "1d")

    @task(registry=taskflow_registry)
    def late(x: int) -> int:
        return x

    drain()
    with pytest.raises(NoResult):
        early.delay(1).get(0)
    result = late.delay(1)
    drain()
    assert result.get(0) == 1


def test_a_thousand_tasks_read_the_file_once_and_open_no_broker(
    folder: Path, taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("task_retries = 7")
    read: list[dict[str, str]] = []
    really = config._read_file

    def counted() -> dict[str, str]:
        read.append(really())
        return read[-1]

    monkeypatch.setattr(config, "_read_file", counted)
    for number in range(1000):
        task(name=f"shop.add{number}", registry=taskflow_registry)(lambda x: x)
    assert read == [{"task_retries": "7"}]
    assert [path.name for path in folder.iterdir()] == ["setup.cfg"]


def test_a_file_that_has_changed_is_read_again(folder: Path, taskflow_registry: Registry) -> None:
    write("task_retries = 7")
    assert made(taskflow_registry).policy.retries == 7
    (folder / "new.cfg").write_text("[taskflow]\ntask_retries = 8\n")
    (folder / "new.cfg").replace(folder / "setup.cfg")
    assert made(taskflow_registry).policy.retries == 8
    (folder / "setup.cfg").unlink()
    assert made(taskflow_registry).policy.retries == 3


# ---- what is refused ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("queue", "my queue", "queue 'my queue'"),
        ("queue", "mails-dlq", "names in -dlq belong to dead-letter queues"),
        ("retries", "many", "a whole number is wanted"),
        ("retries", "-1", "retries is -1; a whole number from 0 to"),
        ("retries", "none", "a whole number is wanted"),
        ("backoff", "soon", "no duration; examples: 90, 1.5, 90s, 15m, 2h, 1d"),
        ("timeout", "0", "timeout is 0.0; seconds above 0, or None"),
        ("result", "forever", "no duration"),
        ("result", "20000d", "10 years at most"),
        ("result_failed", "0", "more than 0"),
        ("idempotent", "perhaps", "true, yes, on, false, no, off are allowed"),
        ("window", "30d", "seconds above 0, 1.2096e+06 at most"),
        ("visibility_timeout", "13h", "visibility_timeout is 46800"),
        ("concurrency", "0", "concurrency is 0; a whole number, 1 or more"),
        ("rate", "fast", "rate is 'fast'; examples: '100/s', '30/m', '1/h'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_import(
    name: str,
    text: str,
    reason: str,
    taskflow_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(f"task_{name} = {text}")
    with pytest.raises(ConfigError) as in_file:
        made(taskflow_registry)
    assert str(in_file.value).startswith(f"setup.cfg [taskflow] task_{name} is {text!r}: ")
    assert reason in str(in_file.value)
    assert ": task: " not in str(in_file.value)
    monkeypatch.setenv(f"TASKFLOW_TASK_{name.upper()}", text)
    write()
    with pytest.raises(ConfigError) as in_environment:
        made(taskflow_registry)
    assert str(in_environment.value).startswith(f"TASKFLOW_TASK_{name.upper()} is {text!r}: ")
    assert taskflow_registry.queues() == []


def test_a_name_that_nobody_knows_is_refused_at_import(taskflow_registry: Registry) -> None:
    write("task_retires = 5")
    with pytest.raises(ConfigError, match=r"setup\.cfg \[taskflow\]: unknown setting") as refused:
        made(taskflow_registry)
    assert "'task_retires'; known: broker" in str(refused.value)
    assert "task_retries" in str(refused.value)
