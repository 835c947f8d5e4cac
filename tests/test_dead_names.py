"""A private name of a module is used there; a constant there, or by who imports it from there.

(vulture goes by the name alone: one that another module uses hides one of the same name.)
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
MODULES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("taskflow", "services")
    for path in (ROOT / folder).rglob("*.py")
)


def defined(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        names: list[ast.expr | str] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = list(node.targets)
        elif isinstance(node, ast.AnnAssign):
            names = [node.target]
        for name in names:
            yield name if isinstance(name, str) else getattr(name, "id", "")


def imported() -> set[tuple[str, str]]:
    """(module, name) of all that is imported by name, tests included."""
    return {
        (node.module or "", one.name)
        for folder in ("taskflow", "services", "benchmarks", "clients", "tests", "proto")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for one in node.names
    }


@pytest.fixture(scope="module")
def taken() -> set[tuple[str, str]]:
    return imported()


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_defines_is_used(module: str, taken: set[tuple[str, str]]) -> None:
    tree = ast.parse((ROOT / module).read_text())
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    } | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    dotted = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for name in defined(tree):
        if name.startswith("__"):
            continue
        if name.startswith("_"):
            assert name in used, f"{module}: nothing there uses {name}"
        elif name.isupper():
            assert name in used or (dotted, name) in taken, f"nobody uses {dotted}.{name}"
