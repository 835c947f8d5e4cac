"""What all commands share: help, version, errors, settings."""

import importlib.machinery
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import taskflow
from taskflow.broker import QueueSettings
from taskflow.cli import main

Run = Callable[..., Result]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = list(commands(main))


def test_the_commands_are_these() -> None:
    assert {" ".join(path) for path in ALL} == {
        "",
        "call",
        "cancel",
        "doctor",
        "explain",
        "schema",
        "schema export",
        "schema diff",
        "result",
        "runs",
        "health",
        "worker",
        "publish",
        "send",
        "queues",
        "deploy",
        "deploy mark",
        "describe",
        "tags",
        "peek",
        "purge",
        "copy",
        "dashboard",
        "actions",
        "backup",
        "shards",
        "dlq",
        "dlq causes",
        "dlq debug",
        "dlq list",
        "dlq show",
        "dlq redrive",
        "dlq move",
        "dlq moves",
        "dlq cancel",
        "dlq purge",
        "dlq resend",
        "find",
        "topology",
        "topology apply",
        "topology diff",
        "topology export",
        "pause",
        "resume",
        "schedule",
        "schedule list",
        "schedule next",
        "schedule run-now",
        "schedule pause",
        "schedule resume",
        "workflow",
        "workflow list",
        "workflow show",
        "workflow signal",
        "workflow cancel",
        "workflow retry",
        "workflow fork",
        "workflow check",
        "workers",
        "workers pause",
        "workers resume",
        "workers drain",
        "top",
        "serve",
        "migrate",
        "migrate-from-celery",
        "keys",
        "keys add",
        "keys list",
        "keys revoke",
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_with_an_example(run: Run, path: tuple[str, ...], flag: str) -> None:
    result = run(*path, flag)
    assert result.exit_code == 0, result.output
    _, _, example = result.output.partition("Example:\n")
    assert example.strip().startswith(" ".join(["taskflow", *path]).strip())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    unexplained = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert unexplained == []


def test_version(run: Run) -> None:
    installed = importlib.metadata.version("taskflow-events")
    assert run("--version").output == f"taskflow, version {installed}\n"


@pytest.mark.slow
def test_the_installed_command_and_the_module_are_the_same(folder: Path) -> None:
    script = Path(sys.executable).parent / "taskflow"
    root = str(Path(taskflow.__file__).parent.parent)
    for command in ([str(script)], [sys.executable, "-m", "taskflow.cli"]):
        done = subprocess.run(
            [*command, "topology"],
            env={"PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "no subscriptions were loaded\n"


def test_an_unknown_command_exits_2(run: Run) -> None:
    result = run("wroker")
    assert (result.exit_code, "No such command 'wroker'" in result.stderr) == (2, True)


# ---- settings ---------------------------------------------------------------------------------
def settings_file(text: str) -> None:
    Path("setup.cfg").write_text(f"[taskflow]\n{text}\n")


def test_the_broker_comes_from_flag_environment_or_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file("broker = sqlite:///file.db")
    monkeypatch.setenv("TASKFLOW_BROKER", "sqlite:///environment.db")
    for arguments, made in [
        (("--broker", "sqlite:///flag.db"), "flag.db"),
        ((), "environment.db"),
    ]:
        assert run("publish", "made", "1", "--create", *arguments).exit_code == 0
        assert {path.name for path in folder.glob("*.db")} == {made}
        (folder / made).unlink()
    monkeypatch.delenv("TASKFLOW_BROKER")
    assert run("publish", "made", "1", "--create").exit_code == 0
    assert {path.name for path in folder.glob("*.db")} == {"file.db"}


def test_the_modules_come_from_flag_environment_or_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flag", "environment", "file", "second"):
        (folder / f"by_{name}.py").write_text(
            f"from taskflow import subscribe\n@subscribe('t', queue='{name}')\ndef f(e): ...\n"
        )
    settings_file("modules =\n  by_file\n  by_second")
    assert "file" in run("topology").output
    assert "second" in run("topology").output
    monkeypatch.setenv("TASKFLOW_MODULES", "by_environment")
    assert "environment" in run("topology").output
    assert "flag" in run("topology", "-m", "by_flag").output


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("concurrency", "0", "is '0', and 0 is less than 1; write a number from 1 on (8), or the"),
        ("concurrency", "many", "is 'many'; write a number from 1 on (8), or the least and the"),
        ("concurrency", "32..2", "is '32..2', and 32 is more than 2; write"),
        ("concurrency", "0..4", "is '0..4', and 0 is less than 1; write"),
        ("concurrency", "a..b", "autoscaled one (2..32)"),
        ("processes", "2..4", "'2..4' is not a valid integer"),
        ("grace", "soon", "'soon' is no duration; examples: 90, 1.5, 90s, 15m, 2h, 1d"),
        ("grace", "nan", "'nan' is no duration"),
        ("log_level", "LOUD", "LOUD"),
        ("log_format", "xml", "xml"),
        ("broker", "redis://x", "redis scheme; allowed are memory://"),
    ],
)
def test_a_wrong_value_is_refused_alike_wherever_it_comes_from(
    run: Run, monkeypatch: pytest.MonkeyPatch, source: str, name: str, value: str, reason: str
) -> None:
    command = ["worker", "-m", "shop"]
    if source == "flag":
        flag = [f"--{name.replace('_', '-')}", value]
        command = flag + command if name.startswith("log_") else command + flag
    elif source == "environment":
        monkeypatch.setenv(f"TASKFLOW_{name.upper()}", value)
    else:
        settings_file(f"{name} = {value}")
    result = run(*command)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert name in result.stderr.replace("-", "_"), "it names the setting"
    assert not Path("taskflow.db").exists()


def test_an_unknown_setting_exits_2_with_the_known_ones(run: Run) -> None:
    settings_file("brokr = memory://")
    result = run("queues")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: setup.cfg [taskflow]: unknown setting 'brokr'; known: broker, modules, "
        "concurrency, processes, grace, log_level, log_format, app, release, keys, task_queue, "
        "task_retries, task_backoff, task_timeout, task_result, task_result_failed, "
        "task_idempotent, task_window, task_visibility_timeout, task_concurrency, task_rate\n"
    )


def test_a_default_of_tasks_that_cannot_be_exits_2_with_its_place(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings_file("task_retries = many")
    (tmp_path / "retried.py").write_text("from taskflow import task\n\n\n@task\ndef f(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = run("topology", "--module", "retried")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "retried.py, line 4: ConfigError: setup.cfg [taskflow] task_retries is 'many': "
        "a whole number is wanted\n"
    )


def test_a_log_level_is_a_level_in_any_case(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_LOG_LEVEL", "warning")
    assert run("topology").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "\udcff", "x"),
        ("peek", "\udcff"),
        ("purge", "\udcff", "--yes"),
        ("dlq", "move", "work", "--to", "\udcff"),
        ("publish", "made", "1", "--id", "\udcff"),
    ],
)
def test_an_argument_that_is_no_utf_8_is_refused(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    address = f"sqlite:///{tmp_path}/broker.db"
    broker = taskflow.open_broker(address)
    broker.create_topic("made")
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=1))
    broker.close()
    result = CliRunner().invoke(main, [*arguments, "--broker", address])
    assert result.exit_code == 2, result.output
    assert "is no UTF-8" in result.stderr


@pytest.mark.parametrize("name", ["queue", "token", "email"])
def test_a_file_of_the_folder_does_not_stand_in_for_a_module_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / f"{name}.py").write_text("VALUE = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path)])
    CliRunner().invoke(main, ["topology", "--help"])
    assert str(tmp_path) in sys.path
    found = importlib.machinery.PathFinder.find_spec(name, sys.path)
    assert found is not None
    assert found.origin != str(tmp_path / f"{name}.py")
