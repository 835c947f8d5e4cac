"""`taskflow schedule`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from taskflow import Broker, schedules
from taskflow.registry import default_registry

Run = Callable[..., Result]
AT = 4_000_000_000.0


@pytest.fixture(autouse=True)
def some(broker: Broker) -> None:
    schedules.put("report", cron="0 9 * * *", tz="Europe/Berlin", task="mail", broker=broker)
    schedules.put("later", at=AT, publish=("day.ended", 1), broker=broker)


def test_the_list(run: Run) -> None:
    heads, first, second = run("schedule", "list").output.splitlines()
    assert heads.split()[:3] == ["SCHEDULE", "WHEN", "WHAT"]
    assert first.startswith("report    0 9 * * * Europe/Berlin ")
    assert "publish day.ended  active  2096-10-02T07:06:40Z" in second
    found = json.loads(run("schedule", "list", "--json", "--task", "mail").output)
    assert [(one["name"], one["tz"], one["fired"]) for one in found] == [
        ("report", "Europe/Berlin", 0)
    ]
    assert run("schedule", "list", "--state", "paused").output == "no schedules\n"
    shortened = run("schedule", "list", "--limit", "1")
    assert "and more" in shortened.stderr


def test_next(run: Run) -> None:
    lines = run("schedule", "next", "report", "--count", "3").output.splitlines()
    assert len(lines) == 3
    assert all(line[10:] in ("T07:00:00Z", "T08:00:00Z") for line in lines)
    assert run("schedule", "next", "later").output == "2096-10-02T07:06:40Z\n"


def test_pause_and_resume(run: Run) -> None:
    assert run("schedule", "pause", "report").output == "paused report\n"
    assert run("schedule", "next", "report").output == ""
    assert "paused" in run("schedule", "list", "--state", "paused").output
    assert run("schedule", "resume", "report").output == "resumed report\n"
    assert json.loads(run("schedule", "list", "--json").output)[0]["state"] == "active"


def test_run_now(run: Run, broker: Broker) -> None:
    broker.create_queue("default")
    assert run("schedule", "run-now", "report").output.startswith("report@")
    assert broker.counts("default").visible == 1


@pytest.mark.parametrize("verb", ["next", "run-now", "pause", "resume"])
def test_an_unknown_one(verb: str, run: Run) -> None:
    result = run("schedule", verb, "nobody")
    assert result.exit_code == 2
    assert "no schedule named 'nobody'" in result.stderr


def test_topology_apply_declares(
    run: Run, folder: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_registry, "_tenders", {})
    monkeypatch.setattr(default_registry, "_engines", {})
    monkeypatch.setattr(default_registry, "engines", ())
    (folder / "timed.py").write_text(
        "from taskflow import every, task\n\n\n@every(60)\n@task\ndef tick() -> None: ...\n"
    )
    assert run("topology", "-m", "timed").exit_code == 0
    assert schedules.get("timed.tick", broker=broker) is None
    assert run("topology", "apply", "-m", "timed").exit_code == 0
    assert schedules.get("timed.tick", broker=broker) is not None
