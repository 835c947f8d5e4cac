"""What `import taskflow` offers, and what it does not do."""

import importlib.metadata
import inspect
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import taskflow
from taskflow import errors
from taskflow.errors import TaskflowError

SURFACE = [
    "AsyncRun",
    "AsyncTask",
    "AsyncWorkflow",
    "Broker",
    "Clock",
    "Context",
    "Event",
    "Middleware",
    "Pool",
    "QueueCounts",
    "QueueSettings",
    "Registry",
    "Reject",
    "Result",
    "Retry",
    "RetryPolicy",
    "Run",
    "Schedule",
    "SystemClock",
    "Task",
    "TaskflowError",
    "Worker",
    "Workflow",
    "WorkflowResult",
    "as_completed",
    "chain",
    "chord",
    "cron",
    "every",
    "group",
    "once",
    "open_broker",
    "publish",
    "publish_many",
    "schedules",
    "send_task",
    "subscribe",
    "task",
    "use",
    "wait_all",
    "wait_any",
    "workflow",
]


def test_the_public_names_are_exactly_these() -> None:
    assert taskflow.__all__ == SURFACE
    assert sorted(SURFACE) == SURFACE


def test_nothing_else_is_in_the_package_but_its_modules() -> None:
    for name in SURFACE:
        assert getattr(taskflow, name)
    others = {
        name
        for name, value in vars(taskflow).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert others - {"import_module", "Any", "TYPE_CHECKING"} == set(SURFACE)


@pytest.mark.parametrize("name", [name for name in SURFACE if name != "Middleware"])
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(taskflow, name)
    assert inspect.getdoc(value)
    assert not str(value.__doc__).startswith(f"{name}("), "that is what dataclass wrote"


def test_the_version_is_the_installed_one() -> None:
    assert taskflow.__version__ == importlib.metadata.version("taskflow-events")


def modules() -> list[Any]:
    found = pkgutil.walk_packages(taskflow.__path__, "taskflow.")
    return [import_module(one.name) for one in found if not one.name.endswith("__main__")]


def test_every_module_says_what_lives_there() -> None:
    assert [one.__name__ for one in modules() if not one.__doc__] == []


def test_every_exception_is_in_the_tree_at_the_top_of_errors() -> None:
    drawn = str(errors.__doc__)
    made = {
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, TaskflowError)
    }
    missing = {kind.__name__ for kind in made if not kind.__name__.startswith("_")} - set(
        drawn.replace("(", " ").split()
    )
    assert missing == set()
    assert {kind.__module__ for kind in made} == {"taskflow.errors"}


def test_every_exception_in_the_tree_exists_under_the_parent_drawn() -> None:
    parents: list[type] = []
    for line in str(errors.__doc__).split("\n\n")[1].splitlines():
        bare = line.lstrip(" │├└─")
        depth = (len(line) - len(bare) + 1) // 4
        kind = getattr(errors, bare.split()[0].split("(")[0])
        parents[depth:] = [kind]
        if depth:
            assert parents[depth - 1] in kind.__mro__[1:]
    assert len(parents) > 1


def test_importing_opens_nothing_and_brings_no_stranger(tmp_path: Path) -> None:
    program = """
import json, sys
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" else None)
import taskflow
print(json.dumps([sorted(sys.modules), opened]))
"""
    environment = {"TASKFLOW_BROKER": f"sqlite:///{tmp_path}/broker.db"}
    root = Path(taskflow.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        check=True,
    )
    loaded, opened = json.loads(done.stdout)
    strangers = {"click", "pytest", "grpc", "falcon", "sqlalchemy", "pydantic", "boto3"}
    assert strangers.isdisjoint(loaded)
    assert [path for path in opened if path.endswith((".cfg", ".db", ".sql"))] == []
    assert list(tmp_path.iterdir()) == []


# ---- imported at its first use ------------------------------------------------------------------
def imported_by(code: str) -> set[str]:
    """What a fresh Python has imported of taskflow, and of what it needs, after this code."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_public_name_brings_only_what_it_needs() -> None:
    assert not imported_by("import taskflow") & {"taskflow.broker", "msgspec", "asyncio", "apsw"}
    found = imported_by("from taskflow import subscribe, Context, Event, Retry")
    assert "taskflow.registry" in found
    assert not found & {"taskflow.worker.pool", "taskflow.brokers.stored.broker", "apsw"}


def test_the_help_of_the_command_line_imports_no_broker() -> None:
    code = """
from click.testing import CliRunner
from taskflow.cli import main
assert CliRunner().invoke(main, ["--help"]).exit_code == 0
"""
    assert not imported_by(code) & {"taskflow.brokers", "taskflow.broker", "apsw", "msgspec"}


def test_a_module_of_the_package_is_found_without_an_import_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import taskflow; print(taskflow.errors.Retry is taskflow.Retry)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
    with pytest.raises(AttributeError, match="module 'taskflow' has no attribute 'nosuch'"):
        taskflow.nosuch  # noqa: B018
    assert not hasattr(taskflow, "_nosuch")
    assert set(SURFACE) <= set(dir(taskflow))
