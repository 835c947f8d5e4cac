"""What `deploy/` has for Prometheus and Grafana names metrics that there are; promtool takes it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskflow import Broker, Pool, Registry, Worker, every, publish, task
from taskflow.cli.worker_metrics import WorkerMetrics
from taskflow.publisher import using
from taskflow.telemetry.metrics import take_look, write_prometheus
from tests.programs import promtool

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
BOARD = DEPLOY / "grafana" / "taskflow.json"
METRIC = re.compile(r"taskflow_\w+")


@pytest.fixture
def exposed(taskflow_broker: Broker, taskflow_registry: Registry) -> dict[str, str]:
    """The kind of each series that a worker or a server tells of, by name."""

    @taskflow_registry.subscribe("made", queue="work")
    def on_made(event: object) -> None: ...

    @every("1h")
    @task(queue="work", registry=taskflow_registry)
    def tidy() -> None: ...

    metrics = WorkerMetrics(taskflow_broker)
    worker = Worker(metrics.broker, registry=taskflow_registry, observers=metrics.observers)
    metrics.attend(Pool(worker), worker)
    with using(metrics.broker):
        publish("made", 1)
        worker.drain()
    found: dict[str, str] = {}
    for family in metrics.families():
        parts = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        found.update({family.name + part: family.kind for part in parts})
    text = write_prometheus(take_look(taskflow_broker, 0)).decode()
    found.update(re.findall(r"# TYPE (\w+) (\w+)", text))
    return found


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BOARD.read_text())
    return found


def queries() -> Iterator[str]:
    """Every expression that is asked of Prometheus."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
    for panel in board()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in board()["templating"]["list"]:
        yield variable.get("definition", "")


def test_each_metric_that_is_named_is_told(exposed: dict[str, str]) -> None:
    named = {name for query in queries() for name in METRIC.findall(query)}
    assert len(named) > 20
    assert named - set(exposed) == set()


def test_what_only_rises_is_asked_how_fast(exposed: dict[str, str]) -> None:
    """And what does not is never: Prometheus answers both, one of them wrongly."""
    for query in queries():
        for name in METRIC.findall(query):
            rises = re.search(rf"(?:rate|increase)\({name}\b", query) is not None
            assert rises == (exposed[name] != "gauge") or "label_values" in query, query


def test_what_an_operator_is_to_be_woken_for_has_an_alert() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    named = {name for rule in group["rules"] for name in METRIC.findall(rule["expr"])}
    assert named >= {
        "taskflow_queue_expired_total",
        "taskflow_queue_dead_lettered_total",
        "taskflow_queue_due_message_age_seconds",
        "taskflow_workers",
        "taskflow_schedule_lateness_seconds",
        "taskflow_workflow_runs",
    }
    for rule in group["rules"]:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    sources = {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"}
    assert sources == {"${datasource}"}, "no source of one Grafana alone"
    variables = {variable["name"] for variable in board()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", BOARD.read_text()))
    assert used - {"__all", "__rate_interval"} == variables


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=["rules", "config", "alerts"],
)
def test_promtool_takes_the_files(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [promtool(), *arguments], cwd=ALERTS.parent, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_what_a_server_tells(taskflow_broker: Broker) -> None:
    taskflow_broker.create_queue("work")
    told = write_prometheus(take_look(taskflow_broker, 0))
    done = subprocess.run([promtool(), "check", "metrics"], input=told, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
