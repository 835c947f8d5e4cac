"""The command in a folder of its own, without settings from outside."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from taskflow import Broker, open_broker
from taskflow.cli import main
from taskflow.config import KNOWN
from taskflow.registry import default_registry

HANDLERS = """
from taskflow import Event, subscribe

@subscribe("order.created", queue="audit", retries=0)
def record(event: Event) -> None:
    print("recorded", event.payload, flush=True)
    if event.payload == "bad":
        raise ValueError("no such order\\nsecond line")

@subscribe("order.created", "order.cancelled", queue="mails", retries=5)
def send(event: Event) -> None: ...
"""


TASKS = """
from dataclasses import dataclass

from taskflow import Context, publish, task

@dataclass
class Colour:
    name: str

    def __post_init__(self) -> None:
        raise KeyError("no such colour")

@task(queue="mails")
def paint(colour: Colour) -> None:
    pass

@task(result="1h", retries=0)
def add(x: int, y: int = 1) -> int:
    if x < 0:
        raise ValueError("below 0\\nsecond line")
    return x + y

@task(queue=("mails", "bulk"))
def send(to: str, *more: object, **named: object) -> None:
    print("sent", to, more, sorted(named.items()), flush=True)

@task(result="1h")
def count(ctx: Context, to: int) -> int:
    ctx.progress(to / 2, to, "half")
    return to

@task(queue="orders", retries=0)
def place(id: str) -> None:
    publish("order.created", id)
    if id == "bad":
        raise ValueError("no such order")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module `shop` that holds handlers, and `jobs` with tasks."""
    (tmp_path / "shop.py").write_text(HANDLERS)
    (tmp_path / "jobs.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(default_registry, "_subscriptions", {})
    monkeypatch.setattr(default_registry, "_by_queue", {})
    monkeypatch.setattr(default_registry, "_engines", {})
    monkeypatch.setattr(default_registry, "engines", ())
    monkeypatch.setattr(default_registry, "modules", [])
    for name in KNOWN:
        monkeypatch.delenv(f"TASKFLOW_{name.upper()}", raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run the command; whatever it raises fails the test."""

    def run(*arguments: str, given: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, arguments, input=given, prog_name="taskflow")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def broker(folder: Path) -> Iterator[Broker]:
    """The broker that the command finds here, with the queues of `shop` declared."""
    opened = open_broker("sqlite:///taskflow.db?durability=process")
    opened.create_topic("order.created")
    opened.create_queue("plain")
    yield opened
    opened.close()
