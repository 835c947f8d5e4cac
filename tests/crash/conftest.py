"""What tests of crashes share."""

from pathlib import Path

import pytest

from tests.crash.forks import make


@pytest.fixture(params=["power", "process"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a broker's file with a topic `made` and its queue `work`."""
    return make(f"sqlite:///{tmp_path}/broker.db?durability={request.param}")
