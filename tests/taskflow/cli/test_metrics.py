"""`taskflow worker --metrics-port`: what Prometheus is told, by one process and by several."""

import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from click.testing import Result

from taskflow import Broker, Pool, Registry, Reject, Retry, Worker, every, publish, task, workflow
from taskflow import Run as WorkflowContext
from taskflow.broker.change import Change, Send
from taskflow.cli.worker_metrics import WorkerMetrics
from taskflow.errors import QueueNotFound, TopicNotFound
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.telemetry.exposition import write_families
from taskflow.telemetry.family import Family, Sample
from taskflow.testing import ManualClock
from taskflow.testing.faults import FaultBroker
from taskflow.worker.health_server import HealthServer
from taskflow.worker.metrics_file import read_metrics, write_metrics
from taskflow.worker.metrics_server import MetricsServer
from tests.programs import promtool
from tests.taskflow.cli.test_runtime import WAIT, eventually, start


@pytest.fixture
def metrics(taskflow_broker: Broker) -> WorkerMetrics:
    return WorkerMetrics(taskflow_broker)


@pytest.fixture
def told(taskflow_registry: Registry, taskflow_clock: ManualClock, metrics: WorkerMetrics) -> str:
    """What a worker tells that has done, retried, buried and skipped something, and has one message
    of 2 seconds left, a workflow that sleeps, and a schedule that nobody has fired for a minute."""
    registry, clock = taskflow_registry, taskflow_clock
    seen: list[object] = []

    @registry.subscribe("made", queue="work", retries=1, backoff=0.0)
    def on_made(event: object) -> None:
        clock.advance(2)
        seen.append(event)
        if len(seen) == 1:
            raise Retry(after=1.0)
        if len(seen) == 3:
            raise Reject("never")

    with using(metrics.broker):
        worker = Worker(metrics.broker, registry=registry, observers=metrics.observers)
        metrics.attend(Pool(worker, concurrency=3), worker)
        publish("made", 1)
        clock.advance(3)
        worker.drain()
        clock.advance(1)
        worker.drain()
        publish("made", 2, id='"odd\\')
        worker.drain()
        publish("made", 3)
    return write_families(metrics.families()).decode()


@pytest.mark.parametrize(
    "line",
    [
        'taskflow_build_info{version="0.1.0"} 1',
        'taskflow_receive_wait_seconds_bucket{queue="work",le="1"} 1',
        'taskflow_receive_wait_seconds_bucket{queue="work",le="5"} 2',
        'taskflow_receive_wait_seconds_bucket{queue="work",le="+Inf"} 2',
        'taskflow_receive_wait_seconds_sum{queue="work"} 3',
        'taskflow_handler_duration_seconds_count{handler="HANDLER"} 3',
        'taskflow_handler_duration_seconds_sum{handler="HANDLER"} 6',
        'taskflow_handler_runs_total{handler="HANDLER",outcome="retried"} 1',
        'taskflow_handler_runs_total{handler="HANDLER",outcome="done"} 1',
        'taskflow_handler_runs_total{handler="HANDLER",outcome="dead"} 1',
        'taskflow_publishes_total{topic="made"} 3',
        'taskflow_pool_busy{kind="threads"} 0',
        'taskflow_pool_slots{kind="threads"} 3',
        'taskflow_queue_waiting_messages{queue="work"} 1',
        'taskflow_queue_backlog_seconds{queue="work"} 2',
        "taskflow_broker_up 1",
        "taskflow_schedules_late 0",
    ],
)
def test_it_is_told(told: str, line: str) -> None:
    found = re.sub(r'handler="[^"]*on_made"', 'handler="HANDLER"', told)
    assert line in found.splitlines()


def test_promtool_finds_no_fault(told: str) -> None:
    done = subprocess.run(
        [promtool(), "check", "metrics"], input=told, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_tasks_workflows_and_late_schedules_are_told(
    taskflow_registry: Registry, taskflow_clock: ManualClock, metrics: WorkerMetrics
) -> None:
    registry = taskflow_registry

    @task(queue="jobs", registry=registry)
    def mail() -> None: ...

    @every("1h")
    @task(queue="jobs", registry=registry)
    def tidy() -> None: ...

    @workflow(queue="jobs", registry=registry)
    def nap(ctx: WorkflowContext) -> None:
        ctx.sleep("1d")

    with using(metrics.broker):
        worker = Worker(metrics.broker, registry=registry, observers=metrics.observers)
        metrics.attend(Pool(worker), worker)
        mail.options(expires="1s").delay()
        taskflow_clock.advance(5)
        nap.delay()
        worker.drain()
        taskflow_clock.advance(3660)
        told = write_families(metrics.families()).decode()
    assert re.findall(r'_total\{handler="[^"]*\.(\w+)",outcome="(\w+)"\} ([1-9])', told) == [
        ("mail", "skipped", "1"),
        ("nap", "suspended", "1"),
    ]
    assert told.count('outcome="dead"} 0\n') == 3, "the first one is a rise"
    assert 'taskflow_leases_lost_total{queue="jobs"} 0\n' in told
    assert 'nap",state="failed"} 0\n' in told
    assert 'taskflow_sends_total{queue="jobs"} 2' in told
    assert "taskflow_schedules_late 1\n" in told
    assert re.search(r"taskflow_schedule_lateness_seconds [1-9]", told)
    assert re.search(r'taskflow_workflow_runs\{workflow="[^"]*\.nap",state="suspended"\} 1', told)


def test_a_broker_that_cannot_be_used_takes_no_other_metric_away(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
) -> None:
    @taskflow_registry.subscribe("made", queue="work")
    def on_made(event: object) -> None: ...

    broker = FaultBroker(taskflow_broker)
    metrics = WorkerMetrics(cast(Broker, broker))
    worker = Worker(metrics.broker, registry=taskflow_registry)
    metrics.attend(Pool(worker), worker)
    broker.fail("waiting")
    told = write_families(metrics.families()).decode()
    assert "taskflow_broker_up 0\n" in told
    assert "taskflow_queue_waiting_messages" not in told
    assert "taskflow_pool_slots" in told
    assert broker.calls["waiting"] == 1
    metrics.families()
    assert broker.calls["waiting"] == 1  # asked no sooner, however many ask
    taskflow_clock.advance(10)
    assert "taskflow_broker_up 1\n" in write_families(metrics.families()).decode()


def test_what_was_refused_is_not_counted(metrics: WorkerMetrics) -> None:
    with using(metrics.broker), pytest.raises(TopicNotFound):
        publish("nosuch", 1)
    (answer,) = metrics.broker.apply([Change(sends=[Send("nosuch", [Message("m", "{}")])])])
    assert isinstance(answer.refused, QueueNotFound)
    metrics.broker.create_queue("plain")
    metrics.broker.apply([Change(sends=[Send("plain", [Message("m", "{}")])])])
    counted = metrics.counted.families()
    assert [[(one.labels, one.value) for one in found.samples] for found in counted] == [
        [],
        [({"queue": "plain"}, 1)],
    ]


def test_several_processes_are_one_page(tmp_path: Path) -> None:
    def families(busy: int, late: int) -> list[Family]:
        return [
            Family("busy", "gauge", "Busy.", [Sample({}, busy)]),
            Family("late", "gauge", "Late.", [Sample({}, late)], shared=True),
        ]

    paths = [tmp_path / f"{number}.metrics" for number in range(4)]
    write_metrics(paths[0], families(1, 7), now=1000.0)
    write_metrics(paths[1], families(2, 8), now=1055.0)
    write_metrics(paths[3], families(4, 9), now=900.0)  # it is dead; the third has not begun
    text = write_families(read_metrics(paths, 1060.0, stale_after=60)).decode()
    assert text.splitlines() == [
        "# HELP busy Busy.",
        "# TYPE busy gauge",
        'busy{process="0"} 1',
        'busy{process="1"} 2',
        "# HELP late Late.",
        "# TYPE late gauge",
        "late 7",
    ]


def test_the_server_answers_metrics_alone(tmp_path: Path) -> None:
    server = MetricsServer(lambda: [Family("x", "gauge", "X.", [Sample({}, 1)])], "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{url}/metrics?x", timeout=10) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert response.read().endswith(b"\nx 1\n")
        head = urllib.request.Request(f"{url}/metrics", method="HEAD")
        with urllib.request.urlopen(head, timeout=10) as response:
            assert (response.read(), response.headers["Content-Length"]) == (b"", "31")
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(url, timeout=10)
        caught.value.close()
    finally:
        server.close()


@pytest.mark.parametrize("flags", [[], ["--processes", "2"]], ids=["one", "several"])
def test_a_port_in_use_is_named_with_the_way_out(
    run: Callable[..., Result], flags: list[str]
) -> None:
    server = HealthServer(lambda: ([], []), "127.0.0.1", 0)
    try:
        result = run("worker", "-m", "shop", "--metrics-port", str(server.port), *flags)
    finally:
        server.close()
    assert result.exit_code == 2
    assert f"metrics port {server.port} on 127.0.0.1: Address already in use" in result.stderr
    assert "--metrics-port" in result.stderr


@pytest.mark.slow
def test_processes_write_and_their_supervisor_serves(
    run: Callable[..., Result], folder: Path
) -> None:
    with start(folder, "-m", "shop", "-p", "2", "--metrics-port", "0") as worker:
        assert worker.stderr is not None
        url = next(line for line in worker.stderr if "metrics on" in line).split()[-1]

        def told() -> str:
            with urllib.request.urlopen(url, timeout=WAIT) as response:
                text: str = response.read().decode()
            return text

        eventually(lambda: told().count("\ntaskflow_build_info") == 2)
        assert re.findall(r'taskflow_pool_slots\{process="(\d)"', told()) == ["0", "1"]
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=WAIT)
    assert worker.returncode == 0
