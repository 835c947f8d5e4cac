"""How values of options are written: durations, sizes, queues with a weight."""

from typing import Any

import click

from taskflow.durations import seconds_of


class Seconds(click.ParamType[float]):
    """A duration: `90`, `1.5`, or with a unit: `90s`, `15m`, `2h`, `1d`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return seconds_of("it", str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration; examples: 90, 1.5, 90s, 15m, 2h, 1d", param, ctx)


class Bytes(click.ParamType[int]):
    """A size: `536870912`, `512M`, `2G`."""

    name = "size"
    _units = {"K": 2**10, "M": 2**20, "G": 2**30}  # noqa: RUF012 - click's own style

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).upper()
        unit = self._units.get(text[-1:], None)
        try:
            size = int(text if unit is None else text[:-1]) * (unit or 1)
        except ValueError:
            size = 0
        if size < 1:
            self.fail(f"{value!r} is no size; examples: 512M, 2G", param, ctx)
        return size


class WeightedQueue(click.ParamType[tuple[str, float]]):
    """A queue, with a weight if there is a colon: `audit`, `critical:6`."""

    name = "queue"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, weight = str(value).partition(":")
        try:
            number = float(weight or 1)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.fail(f"{value!r}: the weight is a number above 0; example: critical:6", param, ctx)
        return name, number
