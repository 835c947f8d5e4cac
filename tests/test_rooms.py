"""Modules are short, and no two have one name unless they are one thing (docs/decisions/0031)."""

from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "taskflow"
SUITE = "testing/contract/"
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))

LINES = 300
LINES_OF_SUITE = 350
"""A module of the contract suite: what every broker must do with one subject, test by test."""
LONGER = {
    "errors.py": "every exception in one tree, which is drawn there",
    "worker/inflight.py": "the one owner of jobs: each transition a method, under one lock",
    "worker/pool.py": "a pool put together: its threads, how they start, and how they end",
}
"""Modules that are longer, and what each is, which is one thing."""

SEAMS = {
    *("broker", "brokers/stored", "brokers/sharded", "brokers/aws"),
    *("stores", "stores/sqlite", "stores/postgres"),
}
"""Where the same thing has the same name: as a seam asks for it, and in each engine behind that."""
COMMANDS = {
    "backup": "brokers/sharded/backup.py",
    "call": "tasks/canvas/call.py",
    "copy": "brokers/copying/copy.py",
    "health": "worker/health.py",
    "keys": "server/keys.py",
    "moves": "brokers/stored/moves.py",
    "publish": "brokers/stored/publish.py",
    "queues": "brokers/aws/queues.py",
    "result": "tasks/result.py",
    "runs": "broker/runs.py",
    "schedule": "scheduling/schedule.py",
    "shards": "brokers/sharded/shards.py",
    "tags": "brokers/aws/tags.py",
    "topology": "topology.py",
    "worker": "worker/worker.py",
    "workflow": "workflows/workflow.py",
}
"""Modules of `cli` that are the command of a thing, and where that is."""


def lines_of(module: str) -> int:
    return len((PACKAGE / module).read_text().splitlines())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_or_there_is_a_reason(module: str) -> None:
    most = LINES_OF_SUITE if module.startswith(SUITE) else LINES
    is_long = lines_of(module) > most
    assert not is_long or module in LONGER, (
        f"{module} has {lines_of(module)} lines, more than {most}: it is asking to be two objects"
    )
    assert is_long or module not in LONGER, f"{module} is short now: LONGER need not name it"


def test_who_may_be_longer_is_there() -> None:
    assert LONGER.keys() <= set(MODULES)


def places_of_names() -> dict[str, list[str]]:
    """The folders of each module's name, packages and suites aside."""
    found: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        folder, _, name = module.rpartition("/")
        if not name.startswith("__") and not module.startswith(SUITE):
            found[name.removesuffix(".py")].append(folder)
    return found


@pytest.mark.parametrize("name", sorted(places_of_names()))
def test_a_name_is_of_one_thing(name: str) -> None:
    places = {*places_of_names()[name]}
    if name in COMMANDS:
        places.discard("cli")
    assert len(places) == 1 or places <= SEAMS, (
        f"{name}.py is in {', '.join(sorted(places))}: say in each name what it is"
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_of_a_thing_that_is_there(name: str) -> None:
    assert f"cli/{name}.py" in MODULES
    assert COMMANDS[name] in MODULES
