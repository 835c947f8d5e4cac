"""Programs that tests call and that need not be here: Prometheus', systemd's, linters."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def program(name: str, how: str) -> str:
    """Its path: beside Python (`make promtool` and pip put it there), else on the PATH. Skips the
    test, saying how to get it, where it is not installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed ({how})")
    return found


def promtool() -> str:
    """Prometheus' checker."""
    return program("promtool", "make promtool")
