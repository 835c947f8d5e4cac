"""The whole system, as a user starts it: `make demo`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres_server import MISSING, find

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("beside", "flags", "checks"),
    [((), ("--traces",), 17), (("-m", "tests.postgres_server", sys.executable), (), 16)],
    ids=["files-traces", "postgres"],
)
def test_the_demo_sees_every_expected_effect(
    beside: tuple[str, ...], flags: tuple[str, ...], checks: int
) -> None:
    if beside and find("postgres") is None:
        pytest.skip(MISSING)
    done = subprocess.run(
        [sys.executable, *beside, "-m", "services.demo", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("   ✓ ") == checks
    if flags:
        assert re.search(
            r"\nPOST /orders \(SERVER\) .*\n  payment\.v1\.\S+ \(CLIENT\)", done.stdout
        )
        assert re.search(r"\n  process notifications .*\n    send e-mail \(CLIENT\)", done.stdout)
    assert "attempt 3: done" in done.stdout
    assert re.search(
        r"fulfil-ord_\w+: done\n  ✓ reserve .*\n  ✓ wait:parcel.shipped\n", done.stdout
    )
    assert done.stderr == ""
