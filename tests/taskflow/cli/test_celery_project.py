"""A project of Celery's shape, by the commands: its app names its modules and its broker."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from taskflow.celery import current
from taskflow.config import name_broker

Run = Callable[..., Result]

APP = """
from taskflow.celery import Celery

app = Celery("proj", broker="sqlite:///proj.db", backend="taskflow://", include=["proj.tasks"])
app.conf.update(result_expires=3600)

if __name__ == "__main__":
    app.start()
"""
TASKS = """
from .celery import app

@app.task
def add(x, y):
    return x + y
"""


@pytest.fixture(autouse=True)
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(current, "_current", None)
    (folder / "proj").mkdir()
    (folder / "proj/__init__.py").touch()
    (folder / "proj/celery.py").write_text(APP)
    (folder / "proj/tasks.py").write_text(TASKS)
    yield
    name_broker(None)


def test_it_is_called_and_worked_by_the_module_of_its_app(run: Run, folder: Path) -> None:
    called = run("call", "proj.tasks.add", "4", "4", "-m", "proj.celery")
    assert called.exit_code == 0, called.output
    assert run("worker", "-m", "proj.celery", "--burst").exit_code == 0
    shown = run("result", called.stdout.strip(), "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["state"], found["result"]) == ("done", 8)
    assert (folder / "proj.db").exists()
    assert not (folder / "taskflow.db").exists()


def test_a_module_that_it_names_and_that_is_not_there(run: Run, folder: Path) -> None:
    (folder / "proj/celery.py").write_text(APP.replace("proj.tasks", "proj.nosuch"))
    failed = run("worker", "-m", "proj.celery", "--burst")
    assert failed.exit_code == 2
    assert "no module named 'proj.nosuch'" in failed.stderr
