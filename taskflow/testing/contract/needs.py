"""What a test needs of a broker that not every broker has, by the fields of its features record."""

from collections.abc import Sequence
from typing import NoReturn

import pytest

from taskflow.broker.features import Features
from taskflow.testing.pytest_plugin import LACKS


def needs(*features: str) -> pytest.MarkDecorator:
    """Mark a test that needs these. Raises ValueError for what is no field of `Features`."""
    if unknown := sorted(set(features) - set(Features._fields)):
        raise ValueError(f"{', '.join(unknown)}: no field of taskflow.broker.features.Features")
    return pytest.mark.needs(*features)


def missing(item: pytest.Item, features: Features) -> list[str]:
    """What this test needs and a broker with these features lacks, in the order of the record."""
    wanted = {name for mark in item.iter_markers("needs") for name in mark.args}
    return [name for name in Features._fields if name in wanted and not getattr(features, name)]


def skip(request: pytest.FixtureRequest, lacks: Sequence[str]) -> NoReturn:
    """Leave this test out for want of these; the summary of the run counts them."""
    request.node.user_properties.append((LACKS, [*lacks]))
    pytest.skip(f"needs {', '.join(lacks)}")
