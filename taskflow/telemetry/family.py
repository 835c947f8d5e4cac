"""Metrics as data: families of samples, as Prometheus has them."""

from collections.abc import Sequence
from typing import Literal

import msgspec


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """A number with its labels. `suffix` is what follows the family's name: `_bucket`, say."""

    labels: dict[str, str]
    value: float
    suffix: str = ""


class Family(msgspec.Struct, frozen=True):
    """All samples of one name. `shared`: they are about the broker, so every process that is asked
    answers the same, and they must not be summed."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[Sample]
    shared: bool = False
