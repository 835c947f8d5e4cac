"""What is so in all tests: `--quick`, and durations by a clock that freezegun cannot turn."""

import gc
import os
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from tests.postgres_server import MISSING, PostgresServer, find

LONG = 0.5  # seconds; a test that takes longer carries the mark `slow`
TOLD = 0.1  # seconds; what a fixture takes longer is among the durations of xdist
LEFT_OUT = ("crash", "chaos", "model", "e2e", "fuzz", "browser", "slow")
"""What `--quick` leaves out: these folders of tests/, and these marks."""
EXAMPLES = 20
"""How many Hypothesis tries with `--quick`, where a test does not say it; 100 otherwise."""
ALONE = {
    "tests/contract/": ("broker", "memory"),
    "tests/taskflow/aws/states/": ("place", "sql"),
    "tests/taskflow/aws/test_sockets.py": ("broker", "ours"),
    "tests/taskflow/testing/test_workflows.py": ("kind", "def"),
}
"""Of what runs over several places here, by the parameter that says where, the one of `--quick`; of
workflows that die at each point those without `async`."""
SERVER = "postgres"
"""The fixture of a server: what has it is left out."""
SEEDS = 8
"""Of random histories, by the parameter `seed`, how many are in `--quick`."""
HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # where Linux has files in memory
ENOUGH = 2 << 30  # bytes; a container often has very little of it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"leave out {', '.join(LEFT_OUT)}; what needs a PostgreSQL server; the contract "
        "over memory:// alone, and the shared state of aws:// over SQL alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the files of tests in memory: no test turns the power off, so none needs to wait for the
    disk. PYTEST_DEBUG_TEMPROOT or --basetemp names another place."""
    # How fast a machine generates is no property of what is tested.
    settings.register_profile("all", suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("quick", settings.get_profile("all"), max_examples=EXAMPLES)
    settings.load_profile("quick" if config.getoption("--quick") else "all")
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    chosen: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        (chosen if _is_quick(item) else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = chosen


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of the folders that are left out."""
    out = collection_path.parent == HERE and collection_path.name in LEFT_OUT
    return True if out and config.getoption("--quick") else None


# Collecting makes some millions of objects that stay to the end. The collector would go through
# them again and again while they are made, half of that time, and then at any moment of any test.
@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _is_quick(item: pytest.Item) -> bool:
    folder = item.nodeid.split("/")[1]
    if folder in LEFT_OUT or any(item.get_closest_marker(name) for name in LEFT_OUT):
        return False
    if SERVER in getattr(item, "fixturenames", ()):
        return False
    call = getattr(item, "callspec", None)
    params = call.params if call is not None else {}
    return params.get("seed", 0) < SEEDS and all(
        params.get(name, place) == place
        for where, (name, place) in ALONE.items()
        if item.nodeid.startswith(where)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """pytest reads a clock that freezegun turns; this one it cannot."""
    report = yield
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    report.duration = now - item.stash.get(_began, now)
    item.stash[_began] = now
    if report.when == "call" and report.duration > LONG and not item.get_closest_marker("slow"):
        report.user_properties.append(("unmarked", report.duration))
    return report


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Of each test xdist would send six messages, which take longer than many a test: send what
    is counted, what failed, and what took its time before and after. (After taskflow's own plugin,
    which runs what is tried again and again.)"""
    if not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed or report.duration > TOLD:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


_began = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_began] = time.clock_gettime(time.CLOCK_MONOTONIC)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private server; who uses it empties it."""
    if find("postgres") is None:
        pytest.skip(MISSING)
    server = PostgresServer()
    yield server
    server.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = [
        (report.duration, report.nodeid)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and dict(report.user_properties).get("unmarked")
    ]
    if found:
        terminalreporter.section(f"over {LONG:g} s this time, without the mark `slow`")
        for seconds, name in sorted(found, reverse=True):
            terminalreporter.line(f"{seconds:.2f}s {name}")
