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


# ---- migrate-from-celery ------------------------------------------------------------------------
OLD = """
raise SystemExit("it is never imported")
from celery import Celery, shared_task
app = Celery("old", broker="amqp://")

@app.task
def plain(x):
    return x

@app.task(name="old.mail", bind=True, acks_late=True, priority=3, base=Own, rate_limit="1/s",
          serializer="pickle", max_retries=None, queue=QUEUE)
def mail(self, to):
    self.replace(plain.s(1))
    plain.apply_async((1,), priority=5)
    plain.delay(1).get()
    raise self.retry(args=(2,), throw=False, max_retries=9)

@shared_task(acks_late=False, retires=3, time_limit=5, soft_time_limit=4, throws=(KeyError,))
async def fast():
    pass

def helper():
    pass
"""


@pytest.fixture
def old(folder: Path) -> Path:
    """A project of Celery's, with folders that are not its own."""
    (folder / "old/.venv").mkdir(parents=True)
    (folder / "old/.venv/x.py").write_text("not python (")
    (folder / "old/tasks.py").write_text(OLD)
    return folder / "old"


def test_it_says_of_each_task_what_becomes_of_it(run: Run, old: Path) -> None:
    ran = run("migrate-from-celery", "old", "--json")
    assert ran.exit_code == 0, ran.output
    plain, mail, fast = json.loads(ran.stdout)
    assert [plain["name"], mail["name"], fast["name"]] == ["tasks.plain", "old.mail", "tasks.fast"]
    assert (plain["file"], plain["line"], plain["refused"]) == ("tasks.py", 7, [])
    assert [one.partition(":")[0] for one in plain["changes"]] == ["acks_late"]
    assert [one.partition(":")[0] for one in mail["refused"]] == [
        "priority",
        "base",
        "serializer",
        "self.replace",
        "apply_async(priority=)",
        "self.retry",
        "self.retry",
        "self.retry",
    ]
    assert [one.partition(":")[0] for one in mail["changes"]] == [
        "max_retries",
        "rate_limit",
        "calls",
        "get",
    ]
    assert [one.partition(":")[0] for one in fast["refused"]] == ["acks_late", "retires"]
    assert [one.partition(":")[0] for one in fast["changes"]] == [
        "time_limit",
        "soft_time_limit",
        "throws",
    ]


def test_it_says_so_to_people(run: Run, old: Path) -> None:
    ran = run("migrate-from-celery", "old/tasks.py")
    assert "old.mail (tasks.py, line 12)" in ran.stdout
    assert "  refused  priority: priority (3): 0 to 9 mean the opposite" in ran.stdout
    assert ran.stdout.endswith("3 tasks; 2 with something that is refused\n")


def test_what_cannot_be_read(run: Run, old: Path) -> None:
    missing = run("migrate-from-celery", "nosuch")
    assert (missing.exit_code, "there is no 'nosuch'" in missing.stderr) == (2, True)
    (old / "bad.py").write_text("def (")
    bad = run("migrate-from-celery", "old")
    assert (bad.exit_code, "cannot be read as Python" in bad.stderr) == (2, True)
