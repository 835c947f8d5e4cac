"""What a type checker says of the files beside this one: of each line what its comment says.

`# is: TYPE` follows a `reveal_type`; `# error: CODE, …` names what mypy (`arg-type`) and pyright
(`reportArgumentType`) find there, and where there is no comment they find nothing. Both run in
strict mode, over installed files alone: nothing is fetched.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SAMPLES = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))
Found = tuple[str, int, str]
"""A file, a line, and what is said of it: a code, or `is TYPE`."""

FOLLOWS = (
    "untyped-decorator",
    "reportUntypedFunctionDecorator",
    "reportUnknownMemberType",
    "reportUnknownVariableType",
)
"""What is said once more of a line that is wrong, or of a name that comes from it."""
EXPECTED = re.compile(r"  # (is|error): (.+)$")
MYPY = re.compile(r"^(\S+?):(\d+): (?:error: .*\[([a-z-]+)\]|note: Revealed type is \"(.+)\")$")
PYRIGHT = re.compile(r"^Type of \".*\" is \"(.+)\"$", re.DOTALL)


@pytest.mark.slow
def test_mypy_sees_what_the_comments_say(tmp_path: Path) -> None:
    said = output(
        *(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty"),
        *("--config-file=", f"--cache-dir={tmp_path}"),
    )
    found = []
    for line in said.splitlines():
        if match := MYPY.match(line):
            file, number, code, type = match.groups()
            bare = re.sub(r"\b(?:\w+\.)+", "", type or "")
            found.append((Path(file).name, int(number), code or f"is {bare}"))
    assert told(found) == sorted(expected(lambda code: not code.startswith("report")))


@pytest.mark.slow
def test_pyright_sees_what_the_comments_say() -> None:
    said = output(
        *(sys.executable, "-m", "basedpyright", "--outputjson"),
        *("--project", str(HERE / "pyrightconfig.json"), "--pythonpath", sys.executable),
    )
    found = []
    for one in json.loads(said)["generalDiagnostics"]:
        revealed = PYRIGHT.match(one["message"])
        text = f"is {revealed[1]}" if revealed else one.get("rule", one["message"])
        found.append((Path(one["file"]).name, one["range"]["start"]["line"] + 1, text))
    assert told(found) == sorted(expected(lambda code: code.startswith("report")))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_each_sample_shows_what_is_right_and_what_is_not(sample: Path) -> None:
    kinds = [match[1] for match in map(EXPECTED.search, sample.read_text().splitlines()) if match]
    assert kinds.count("is") >= 2
    assert kinds.count("error") >= 3


def expected(of_this_checker: Callable[[str], bool]) -> Iterator[Found]:
    for sample in SAMPLES:
        for number, line in enumerate(sample.read_text().splitlines(), 1):
            match = EXPECTED.search(line)
            if match is None:
                continue
            if match[1] == "is":
                yield sample.name, number, f"is {match[2]}"
                continue
            for code in match[2].split(", "):
                if of_this_checker(code):
                    yield sample.name, number, code


def told(found: list[Found]) -> list[Found]:
    return sorted(one for one in found if one[2] not in FOLLOWS)


def output(*command: str) -> str:
    """What a checker says of the samples, with this checkout as the installed taskflow."""
    ran = subprocess.run(
        [*command, *map(str, SAMPLES)],
        cwd=HERE,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr  # 1: it has found errors; 2: it failed
    return ran.stdout
