"""pytest fixtures over `taskflow.testing`, and what the contract suite left out; registered by
installing taskflow."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest

from taskflow.broker import Broker
from taskflow.config import open_broker
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.testing import ManualClock, Run, Sim, drain, memory_broker, wire_server
from taskflow.testing.simulation.pytest_trials import run_trials, trials_of

LACKS = "taskflow.lacks"
"""The property of a test of the contract suite that was left out: what the broker lacks."""


@pytest.fixture
def taskflow_clock() -> ManualClock:
    """The time of the test, turned by hand."""
    return ManualClock()


@pytest.fixture
def taskflow_broker(taskflow_clock: ManualClock) -> Iterator[Broker]:
    """A broker in memory, on `taskflow_clock`; the one that `publish` uses during the test."""
    broker = memory_broker(clock=taskflow_clock)
    with using(broker):
        yield broker
    broker.close()


@pytest.fixture
def taskflow_server() -> Iterator[str]:
    """The URL of an SQS and SNS server over a broker of its own in memory, on real time: an
    endpoint for boto3 and others. Needs the extra `server`."""
    with closing(open_broker("memory://")) as broker, wire_server(broker) as server:
        yield server.url


@pytest.fixture
def taskflow_registry() -> Registry:
    """An empty registry, for handlers made in the test."""
    return Registry()


@pytest.fixture
def taskflow_drain(taskflow_broker: Broker) -> Callable[..., list[Run]]:
    """`taskflow.testing.drain` on the broker of the test."""
    return partial(drain, taskflow_broker)


@pytest.fixture
def taskflow_sim() -> Iterator[Callable[..., Sim]]:
    """`taskflow_sim(registry, seed=…, faults=…)`: a `Sim` that is on until the test ends."""
    with ExitStack() as sims:
        yield lambda *given, **options: sims.enter_context(Sim(*given, **options))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("taskflow").addoption(
        "--taskflow-chaos",
        metavar="SEED",
        help="run every simulation under the random faults of this seed",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test that is tried at each crash point, or under chaos, is run by us."""
    trials = trials_of(item)
    if trials is None:
        return None
    run_trials(item, nextitem, trials)
    return True


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*features): what a test of the contract suite needs of a broker"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the contract suite left out, and how many tests for want of what."""
    lacks = [
        names
        for report in terminalreporter.stats.get("skipped", ())
        for name, names in getattr(report, "user_properties", ())
        if name == LACKS
    ]
    if counts := Counter(name for names in lacks for name in names):
        terminalreporter.section(f"left out of the broker's contract: {len(lacks)}")
        for name, count in sorted(counts.items()):
            terminalreporter.line(f"{count:4} need {name}")
