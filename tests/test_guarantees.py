"""docs/guarantees.md names tests and files that exist, for every promise."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/guarantees.md").read_text()
NODE = re.compile(r"`(tests/[^`\s]+\.py)::([^`\s]+)`")
SOURCE = re.compile(r"`(taskflow/[^`\s]+\.py)`")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!promise \|)", line)]


@cache
def names_in(path: str) -> set[str]:
    """The node names of a test file, what it takes from another with `*` too, uncollected."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        match node:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names |= {f"{name}::{one.name}" for one in body if isinstance(one, ast.FunctionDef)}
            case ast.ImportFrom(module=str(module), names=[ast.alias(name="*")]):
                names |= names_in(f"{module.replace('.', '/')}.py")
            case ast.Assign(targets=[ast.Name(id=name)]):  # a state machine's TestCase
                names.add(name)
    return {name for name in names if name.startswith(("test", "Test"))}


def missing(page: str) -> list[str]:
    """The node ids of a page that are no tests."""
    return [
        f"{path}::{name}"
        for path, name in NODE.findall(page)
        if not (ROOT / path).exists() or name not in names_in(path)
    ]


def test_every_test_that_is_named_exists() -> None:
    assert len(NODE.findall(PAGE)) > 50
    assert missing(PAGE) == []


def test_every_file_that_is_named_exists() -> None:
    assert [path for path in SOURCE.findall(PAGE) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_every_promise_says_where_and_by_what_test(row: str) -> None:
    _, promise, memory, sqlite, aws, where, shown, _ = row.split("|")
    assert promise.strip().endswith(".")
    assert all(one.strip() for one in (memory, sqlite, aws))
    assert SOURCE.search(where)
    assert NODE.search(shown)


@pytest.mark.parametrize(
    "gone",
    ["tests/test_guarantees.py::test_gone", "tests/gone.py::test_gone", "tests/gone.py::Gone::x"],
)
def test_a_test_that_does_not_exist_is_noticed(gone: str) -> None:
    assert missing(f"| a promise. | `taskflow/worker/worker.py` | `{gone}` |") == [gone]
