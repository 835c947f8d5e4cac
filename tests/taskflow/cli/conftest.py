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


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module `shop` that holds handlers."""
    (tmp_path / "shop.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(default_registry, "_subscriptions", {})
    monkeypatch.setattr(default_registry, "_by_queue", {})
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
