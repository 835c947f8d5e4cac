"""The language of filters: one line of terms, all of which must hold."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

from taskflow.clock import moment_in_zone
from taskflow.dashboard.answer import Refused
from taskflow.durations import seconds_of

LONGEST = 1000  # characters of a filter
MOST_TERMS = 30

_TOKEN = re.compile(r'-?[A-Za-z][\w.]*:(?:"[^"]*"|[^\s"])+|"[^"]*"?|\S+')
_NAMED = re.compile(r"(-?)([A-Za-z][\w.]*):(.*)", re.DOTALL)
_PATH = "payload."


class Between(NamedTuple):
    """A range; None is no end. Of a `moment` the ends are epoch seconds, else numbers or seconds.
    Both ends are in it unless it is `open` (`>5m`)."""

    low: float | None
    high: float | None
    open: bool = False
    moment: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies in it."""
        if self.low is not None and (value <= self.low if self.open else value < self.low):
            return False
        return self.high is None or (value < self.high if self.open else value <= self.high)

    def moments(self, now: float) -> tuple[float | None, float | None]:
        """From when to when it is, in epoch seconds; numbers are how long ago."""
        if self.moment:
            return self.low, self.high
        begin = None if self.high is None else now - self.high
        return begin, None if self.low is None else now - self.low


class Term(NamedTuple):
    """One term: a name ("" for words), what may stand there, and whether it must not.

    `text` is the term as it was written; `values` are texts, where `*` is any ending, and `ranges`.
    """

    name: str
    values: Sequence[str]
    ranges: Sequence[Between]
    negated: bool
    text: str

    def admits(self, value: object, now: float = 0.0) -> bool:
        """Whether a row with this value is let through. Sequences have one that fits; a time is
        compared with what the term says in epoch seconds, or how long it is from `now`."""
        if value is None or isinstance(value, str | int | float | Moment):
            found = self._fits(value, now)
        else:
            assert isinstance(value, Collection)
            found = any(self._fits(one, now) for one in value)
        return found != self.negated

    def _fits(self, value: object, now: float) -> bool:
        if isinstance(value, Moment):
            gone = abs(now - value.at)
            return any(one.holds(value.at if one.moment else gone) for one in self.ranges)
        if isinstance(value, int | float):
            return any(one.holds(value) for one in self.ranges)
        return isinstance(value, str) and any(matches(value, one) for one in self.values)


class Moment(NamedTuple):
    """A time in a row, in epoch seconds: `sent:<1h` means less than an hour from now."""

    at: float


class Chip(NamedTuple):
    """A term as it is shown, and the filter without it."""

    name: str
    value: str
    rest: str


class Filter(NamedTuple):
    """A filter as it was read: the terms with a name, and the words."""

    text: str
    terms: Sequence[Term]
    words: Sequence[str]

    def of(self, name: str) -> Sequence[Term]:
        """The terms of a name."""
        return [one for one in self.terms if one.name == name]

    @property
    def reads_bodies(self) -> bool:
        """Whether it looks into payloads, which takes too long to be done every five seconds."""
        return bool(self.words) or any(one.name.startswith(_PATH) for one in self.terms)

    def chips(self) -> list[Chip]:
        """Each term with a link's worth of the filter without it."""
        all = [one.text for one in self.terms] + [f'"{word}"' for word in self.words]
        found = []
        for at, text in enumerate(all):
            named = _NAMED.fullmatch(text)
            name = (f"not {named[2]}" if named[1] else named[2]) if named else "words"
            value = named[3].replace('"', "") if named else text.strip('"')
            rest = " ".join(one for other, one in enumerate(all) if other != at)
            found.append(Chip(name, _in_words(value), rest))
        return found

    def keeps(
        self, values: Mapping[str, Callable[[], object]], text: Callable[[], str], now: float
    ) -> bool:
        """Whether a row is let through: `values` tells its value by name, `text` what words are
        looked for in."""
        for term in self.terms:
            if not term.admits(values[term.name](), now):
                return False
        if not self.words:
            return True
        where = text().casefold()
        return all(word.casefold() in where for word in self.words)


def read_filter(text: str, names: Sequence[str], now: float) -> Filter:
    """The filter in a line. `names`: those that the page knows; with `payload.` among them, paths
    into the payload too. Raises Refused: for an unknown name, with the nearest one, for a range
    that is none, and for what is too long."""
    text = text.strip()
    if len(text) > LONGEST:
        raise Refused(400, f"The filter has {len(text):,} characters; {LONGEST:,} are allowed.")
    terms: list[Term] = []
    words: list[str] = []
    tokens = _TOKEN.findall(text)
    if len(tokens) > MOST_TERMS:
        raise Refused(400, f"The filter has {len(tokens)} terms; {MOST_TERMS} are allowed.")
    for token in tokens:
        named = _NAMED.fullmatch(token)
        if named is None:
            if word := token.strip('"').strip():
                words.append(word)
            continue
        name = named[2] if named[2].startswith(_PATH) else named[2].lower()
        if not (name in names or (_PATH in names and name.startswith(_PATH))):
            raise _unknown(name, names)
        values = [part.strip('"') for part in _split(named[3])]
        ranges = [  # what is quoted is a text: handler:"<lambda>"
            found
            for part in _split(named[3])
            if not part.startswith('"') and (found := _range(name, part, now)) is not None
        ]
        terms.append(Term(name, values, ranges, bool(named[1]), token))
    return Filter(text, terms, words)


def matches(value: str, wanted: str) -> bool:
    """Whether a text is what is wanted, case aside; `*` in the end is any ending."""
    value, wanted = value.casefold(), wanted.casefold()
    if wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    return value == wanted


def payload_at(payload: object, path: str) -> list[str]:
    """The plain values at a path such as `payload.items.sku`, as text: of lists, those of each."""
    found: list[object] = [payload]
    for part in path.removeprefix(_PATH).split("."):
        following: list[object] = []
        for one in found:
            for item in one if isinstance(one, list) else [one]:
                if isinstance(item, dict) and part in item:
                    following.append(item[part])
        found = following
    flat: list[Any] = [item for one in found for item in (one if isinstance(one, list) else [one])]
    return [_plain(one) for one in flat if not isinstance(one, dict | list)]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _split(text: str) -> list[str]:
    """Alternatives: commas part them, but for those in quotes."""
    return re.findall(r'(?:"[^"]*"|[^,"])+', text) or [""]


def _unknown(name: str, names: Sequence[str]) -> Refused:
    near = get_close_matches(name, names, 1, 0.5)
    meant = f" Did you mean {near[0]}:?" if near else ""
    known = ", ".join(f"{one}…" if one.endswith(".") else f"{one}:" for one in names)
    todo = f"Known here: {known}" if names else "Only words are looked for here."
    return Refused(400, f"There is no filter {name}: here.{meant}", (todo,))


def _range(name: str, text: str, now: float) -> Between | None:
    """What a value says as a range; None for one that is only text."""
    for sign in (">=", "<=", ">", "<"):
        if text.startswith(sign):
            number, moment = _number(name, text.removeprefix(sign).strip())
            open = "=" not in sign
            return (
                Between(number, None, open, moment)
                if sign[0] == ">"
                else Between(None, number, open, moment)
            )
    if ".." in text:
        left, _, right = text.partition("..")
        (low, moment), (high, _) = _number(name, left), _number(name, right)
        return Between(low, high, False, moment)
    try:
        number, moment = _number(name, text)
    except Refused:
        return None
    if moment:  # a day, or from then on
        return Between(number, number + 86400.0 if len(text) == 10 else None, False, True)
    if text[-1:].isalpha():  # in the last two days
        return Between(None, number)
    return Between(number, number)


def _number(name: str, text: str) -> tuple[float, bool]:
    """A number, a duration in seconds, or a time in epoch seconds and that it is one."""
    for read in (float, partial(seconds_of, name)):
        with suppress(ValueError, OverflowError):
            if isfinite(number := read(text)):
                return number, False
    try:
        return moment_in_zone(name, text, "UTC"), True
    except (ValueError, TypeError, OverflowError):
        raise Refused(
            400,
            f"{name}:{text} is no number and no time.",
            ("Write age:>5m, attempt:2..4, sent:2d or sent:>2026-11-26T12:00.",),
        ) from None


def _in_words(value: str) -> str:
    for sign, word in (
        (">=", "at least "),
        ("<=", "at most "),
        (">", "more than "),
        ("<", "below "),
    ):
        if value.startswith(sign):
            return word + value.removeprefix(sign)
    return value.replace("..", " to ").replace(",", " or ")
