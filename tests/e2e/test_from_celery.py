"""docs/from-celery.md: it holds the programs that are run, and those of taskflow do what it says.

Celery's own are run by `make clients` (clients/from_celery.py), with the real Celery.
"""

import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

import taskflow
from taskflow import Broker, Registry, open_broker, publish
from taskflow.publisher import using
from taskflow.testing import ManualClock, drain
from taskflow.topology import declare
from tests.contract.wire import SharedClock, aws_broker

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs/from-celery.md"
PROGRAMS = ROOT / "docs/examples/from_celery"
ORDER = ["charged ord_1", "mailed ord_1@example.com", "reminded ord_1@example.com"]


@pytest.fixture
def clock() -> ManualClock:
    return SharedClock(1_800_000_000.0)


@pytest.fixture(params=["memory", "sqlite", "aws"])
def broker(
    request: pytest.FixtureRequest,
    clock: SharedClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Broker]:
    """The one that `publish` uses; on AWS over the wire server in this process."""
    if request.param == "aws":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        with aws_broker(clock) as aws, using(aws):
            yield aws
        return
    address = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/broker.db"
    with closing(open_broker(address, clock=clock)) as opened, using(opened):
        yield opened


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """What programs subscribe to, instead of the default one, which all tests share."""
    own = Registry()
    monkeypatch.setattr(taskflow, "subscribe", own.subscribe)
    return own


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where handlers write what they did."""
    file = tmp_path / "shop.log"
    monkeypatch.setenv("SHOP_LOG", str(file))
    return file


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a program under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"from_celery_{name}", PROGRAMS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def drain_for(seconds: float, broker: Broker, clock: ManualClock, registry: Registry) -> None:
    """Run everything that is due within so many seconds. Failures are retried."""
    for _ in range(int(seconds) + 1):
        drain(broker, registry, raise_errors=False)
        clock.advance(1.0)


def test_every_program_is_in_the_document_as_it_is() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOC.read_text(), re.MULTILINE | re.DOTALL)
    programs = {file.name: file.read_text() for file in sorted(PROGRAMS.glob("*.py"))}
    assert programs.keys() >= {"before.py", "after.py"}
    assert [name for name, text in programs.items() if text not in blocks] == []


def test_an_order_has_each_effect_once(
    broker: Broker,
    clock: ManualClock,
    registry: Registry,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after = load("after", monkeypatch)
    declare(broker, registry)
    after.place(after.Order("ord_1", "ord_1@example.com"))
    drain_for(2, broker, clock, registry)
    assert log.read_text().splitlines() == ORDER[:2]  # the reminder is not due
    drain_for(3, broker, clock, registry)
    assert log.read_text().splitlines() == ORDER
    for queue in broker.queues():
        counts = broker.counts(queue)
        assert (queue, counts.visible, counts.in_flight, counts.delayed) == (queue, 0, 0, 0)


def test_an_error_that_celery_would_not_retry_is_dead_lettered(
    broker: Broker,
    clock: ManualClock,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after = load("after", monkeypatch)
    declare(broker, registry)

    def fail(text: str) -> None:
        raise ValueError(text)

    monkeypatch.setattr(after, "done", fail)
    after.place(after.Order("ord_1", "ord_1@example.com"))
    drain(broker, registry, ["charges"], raise_errors=False)
    assert [letter.topic for letter in broker.peek("charges-dlq", 10)] == ["order.placed"]


def test_what_waits_longer_than_the_visibility_timeout_runs_once(
    broker: Broker,
    clock: ManualClock,
    registry: Registry,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load("trap_after", monkeypatch)
    declare(broker, registry)
    publish("wait.over", {}, delay=10)
    publish("fail.wanted", {})
    drain_for(40, broker, clock, registry)
    ran = Counter(log.read_text().splitlines())
    assert ran == Counter(["waited", "failed at retry 0", "failed at retry 1", "failed at retry 2"])
