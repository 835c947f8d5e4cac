"""The blocks of docs/guides/schedules.md, run one after the other."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Registry, Worker, schedules, task
from taskflow.cli import main
from taskflow.config import KNOWN
from taskflow.testing import ManualClock

PAGE = (Path(__file__).parents[3] / "docs/guides/schedules.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_blocks_run(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def make(*args: Any, **options: Any) -> Any:
        made = task(registry=taskflow_registry, **options)
        return made(*args) if args else made

    monkeypatch.setattr("taskflow.task", make)
    names: dict[str, Any] = {"__name__": "shop"}
    *in_code, by_name = blocks("python")
    for block in in_code:
        exec(block, names)
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    declared = {one.name for one in schedules.list().schedules}
    assert declared == {
        *("shop.ping", "shop.report", "shop.fireworks", "sync/eu", "sync/us"),
        "shop.bill_yesterday",
    }
    exec(by_name, names)
    printed = capsys.readouterr().out
    assert "report/cus_17 active 0 0 0" in printed
    taskflow_clock.set(schedules.next("shop.report")[0])
    worker.drain()
    assert "and late by 0.0" in capsys.readouterr().out


def test_the_settings_and_commands_exist() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(blocks("ini")[0])
    assert set(parser["taskflow"]) <= set(KNOWN)
    group: Any = main.get_command(None, "schedule")  # type: ignore[arg-type]
    lines = re.findall(r"^taskflow schedule (\S+)", PAGE, re.MULTILINE)
    assert set(lines) == set(group.commands)
