"""How many handlers may run at once: a number, or between which two a pool finds it itself."""

from typing import NamedTuple

FORMS = "write a number from 1 on (8), or the least and the most of an autoscaled one (2..32)"


class Bounds(NamedTuple):
    """The least and the most at once, both inclusive; the same twice is a fixed number.

    `str` of it is what `read` takes: `8`, `2..32`.
    """

    least: int
    most: int

    @property
    def scales(self) -> bool:
        """Whether it is more than one number."""
        return self.least < self.most

    def __str__(self) -> str:
        return f"{self.least}..{self.most}" if self.scales else str(self.least)


def read_bounds(what: str, value: int | str | tuple[int, int]) -> Bounds:
    """Bounds from `8`, `"8"`, `"2..32"` or `(2, 32)`. Raises ValueError, which names `what`, the
    value and what is allowed."""
    if isinstance(value, str):
        words: tuple[object, ...] = tuple(value.split(".."))
    else:
        words = value if isinstance(value, tuple) else (value,)
    try:
        numbers = [_number(word) for word in words]
        least, most = numbers if len(numbers) == 2 else numbers * 2
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {value!r}; {FORMS}") from None
    if least < 1:
        raise ValueError(f"{what} is {value!r}, and {least} is less than 1; {FORMS}")
    if least > most:
        raise ValueError(f"{what} is {value!r}, and {least} is more than {most}; {FORMS}")
    return Bounds(least, most)


def _number(word: object) -> int:
    if isinstance(word, bool) or not isinstance(word, int | str):
        raise TypeError(word)
    if isinstance(word, str) and not word.strip().removeprefix("-").isdecimal():
        raise ValueError(word)
    return int(word)
