"""Names in backticks that look like ours exist: a document cannot speak of what is gone."""

import ast
import configparser
import html
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.postgres_server import PostgresServer
from tests.test_guarantees import missing

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "CHANGELOG.md"
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(\))?")
PATH = re.compile(r"(?:taskflow|services|proto|tests|docs|benchmarks|clients)(?:/[\w.-]+)+/?")
OURS = re.compile(r"_[a-z]\w+|[A-Z][a-z]+(?:[A-Z][a-z]+)+")  # _private, TwoWords


class Written(NamedTuple):
    """What is in a file of ours: every name, and of every class what its body defines and what it
    is made of."""

    names: set[str]
    members: dict[str, set[str]]
    bases: dict[str, set[str]]


@cache
def sources() -> dict[Path, str]:
    """Our code. It is a lot: a file is parsed when what a document names stands in it."""
    return {
        path: path.read_text()
        for folder in ("taskflow", "services", "tests", "benchmarks", "clients", "proto")
        for path in (ROOT / folder).rglob("*.py")
    }


@cache
def written(path: Path) -> Written:
    found = Written({path.stem}, {}, {})
    names = found.names
    for node in ast.walk(ast.parse(sources()[path])):
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            found.members.setdefault(node.name, set()).update(_defined(node))
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            found.bases.setdefault(node.name, set()).update(bases)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.update((node.asname or node.name).split("."))
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(re.findall(r"\w+", node.value[:2000]))
    return found


@cache
def is_written(name: str) -> bool:
    """Whether our code has that name anywhere."""
    return any(
        name in (path.stem, path.parent.name) or (name in text and name in written(path).names)
        for path, text in sources().items()
    )


@cache
def members_of(owner: str) -> set[str] | None:
    """What a class of ours defines, or one that it is made of; None where there is none."""
    bodies = [
        (one.members[owner], one.bases[owner])
        for path, text in sources().items()
        if f"class {owner}" in text and owner in (one := written(path)).members
    ]
    if not bodies:
        return None
    found = set().union(*(members for members, _ in bodies))
    for base in set().union(*(bases for _, bases in bodies)):
        found |= members_of(base) or set()
    return found


def _defined(node: ast.ClassDef) -> set[str]:
    return {
        name
        for one in ast.walk(node)
        for name in (
            getattr(one, "name", None),
            getattr(one, "attr", None),
            getattr(one, "id", None),
        )
        if isinstance(name, str)
    }


def gone(text: str) -> list[str]:
    """What a document quotes of ours that is not there."""
    found = []
    for quoted in QUOTED.findall(FENCE.sub("", text)):
        if PATH.fullmatch(quoted):
            if not (ROOT / quoted).exists():
                found.append(quoted)
        elif DOTTED.fullmatch(quoted):
            owner, _, rest = quoted.removesuffix("()").partition(".")
            members = members_of(owner) if owner[0].isupper() else None
            if members is not None:
                if rest.split(".")[0] not in members:
                    found.append(quoted)
            elif owner == "taskflow" and not all(map(is_written, rest.split("."))):
                found.append(quoted)
        elif OURS.fullmatch(quoted) and quoted.startswith("_") and not is_written(quoted):
            found.append(quoted)
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_exists(document: str) -> None:
    assert gone((ROOT / document).read_text()) == []


@pytest.mark.parametrize(
    "quoted",
    [
        "Worker._within_retention",
        "taskflow/gone.py",
        "StoredBroker._claim",
        "_".join(("", "nobody", "has", "it")),
    ],
)
def test_a_name_that_is_gone_is_noticed(quoted: str) -> None:
    assert gone(f"It is `{quoted}` that does it.") == [quoted]


PROGRAMS = [
    "docs/guides/tasks.md",
    "docs/guides/results.md",
    pytest.param("docs/guides/plans.md", marks=pytest.mark.slow),
    "docs/guides/workflows.md",
    "docs/guides/sealing.md",
    "docs/from-celery.md",
]
OTHERS = "## From tasks to events"  # what follows are programs of their own: tests/e2e
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@pytest.mark.parametrize("document", PROGRAMS)
def test_the_blocks_of_a_guide_are_a_program_that_prints_what_they_say(
    document: str, tmp_path: Path
) -> None:
    play(document, tmp_path, TASKFLOW_BROKER="sqlite:///taskflow.db?durability=process")


def test_the_blocks_of_the_guide_to_postgresql_are_one_too(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    address = postgres.address()
    try:
        play("docs/guides/postgres.md", tmp_path, TASKFLOW_BROKER=address, DATABASE_URL=address)
    finally:
        postgres.empty()
        with psycopg.connect(address) as connection:
            connection.execute("DROP TABLE IF EXISTS orders")


def play(document: str, folder: Path, **environment: str) -> None:
    """Run the blocks of a guide as one program."""
    text = (ROOT / document).read_text().partition(OTHERS)[0]
    program = "\n".join(PYTHON.findall(text))
    (folder / f"{Path(document).stem}.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, f"{Path(document).stem}.py"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = PRINTED.findall(program)
    assert len(said) == program.count("print("), "each says what it prints"
    assert ran.stdout.splitlines() == said


BEFORE = re.compile(
    r"^```python before\n(.*?)^```\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL
)
ADDRESSES = {
    "from celery": "from taskflow.celery",
    "amqp://guest@localhost//": "sqlite:///shop.db",
    "redis://localhost": "taskflow://",
}


def test_before_and_after_differ_in_the_import_and_the_addresses_alone() -> None:
    pairs = BEFORE.findall((ROOT / "docs/from-celery.md").read_text())
    assert pairs
    for before, after in pairs:
        for old, new in ADDRESSES.items():
            before = before.replace(old, new)
        assert before == after


ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()


def test_the_architecture_shows_every_room() -> None:
    rooms = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "taskflow").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    shown = set(re.findall(r"\[`([\w./]+)`\]\(\.\./taskflow", ARCHITECTURE))
    inner = {name for name in shown if name.count("/") == 2}
    assert (shown - inner) | {name.split("/")[0] + "/" for name in inner} == rooms


def test_the_architecture_shows_the_layers_that_are_enforced() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    layers = config["importlinter:contract:layers"]["layers"].split("\n")
    assert "\n".join(layers).strip() in ARCHITECTURE


LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
LINKED = [*DOCUMENTS, "tests/clients/README.md", "benchmarks/README.md"]


@pytest.mark.parametrize("document", LINKED)
def test_what_a_document_links_to_exists(document: str) -> None:
    text = FENCE.sub("", (ROOT / document).read_text())
    here = (ROOT / document).parent
    assert [link for link in LINK.findall(text) if not (here / link).exists()] == []


def test_the_first_example_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    (handlers,) = PYTHON.findall((ROOT / "README.md").read_text())
    (tmp_path / "handlers.py").write_text(handlers)
    (tmp_path / "run.py").write_text(
        """if True:
            from taskflow import publish, Worker
            from taskflow.publisher import default_broker
            from handlers import OrderCreated, send_receipt

            worker = Worker(default_broker())
            worker.declare()
            publish("order.created", OrderCreated("ord_1", 990))
            publish("order.created", OrderCreated("ord_2", -1))
            receipt = send_receipt.delay("ord_3")
            worker.drain()
            counts = default_broker().counts
            print(receipt.get(), counts("mails").handled, counts("audit-dlq").visible)"""
    )
    ran = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TASKFLOW_BROKER": "memory://"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "receipt of ord_3 2 1\n", ran.stderr


IMPORTS = re.compile(r"^(?:from|import) (taskflow[\w.]*)", re.MULTILINE)
STABLE = (ROOT / "docs/stability.md").read_text()


def test_the_pages_import_from_modules_that_stay() -> None:
    stay = set(re.findall(r"`(taskflow[\w.]*)`", STABLE.split("The modules: ")[1].split("\n\n")[0]))
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/guides").glob("*.md"),
    ]
    taken = {name for page in pages for name in IMPORTS.findall(page.read_text())}
    assert taken - stay == set()
    places = {name: ROOT / name.replace(".", "/") for name in stay}
    assert [
        n for n, at in places.items() if not (at.is_dir() or at.with_suffix(".py").exists())
    ] == []


def test_what_shows_that_it_stays_is_there() -> None:
    assert "::" in STABLE
    assert missing(STABLE) == []


RECORDING = "docs/images/demo.svg"
CHECKED = re.compile(r">   ✓ ([^<]+)<")


def test_the_recording_is_of_the_demo_that_is_here() -> None:
    recorded = {html.unescape(one) for one in CHECKED.findall((ROOT / RECORDING).read_text())}
    demo = [path.read_text() for path in (ROOT / "services/demo").glob("*.py")]
    checks = re.findall(r"check\(\s*f?\"([^\"{]+)", "".join(demo))
    assert len(recorded) > 10
    assert recorded - set(checks) == set()
