"""Fields that are hidden by their name, in payloads and wherever their values are quoted."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from taskflow.dashboard.hidden_values import NOTHING_HIDDEN, SHORTEST, HiddenValues

HIDDEN_NAMES = (
    "card",
    "cvc",
    "cvv",
    "iban",
    "token",
    "password",
    "passwd",
    "secret",
    "authorization",
    "cookie",
    "apikey",
)
"""What is hidden without anybody saying so: fields of which a word is one of these."""

LONGEST_KNOWN, MOST_KNOWN = 100, 10_000  # characters of a name, and names, that are remembered
DEEPEST = 100  # levels of a payload that are looked into

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Possessive, and from the beginning of a word alone: a word of a megabyte is looked at once.
# `card_number=42`, `'card': "42"`, `Authorization: Bearer 4f2a`: a name and what it is.
_PAIR = re.compile(
    r"""(?<![A-Za-z0-9_-])(?P<name>[A-Za-z_][A-Za-z0-9_-]*+)(?P<mid>["']?\s*+[:=]\s*)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?:(?:Bearer|Basic)\s+)?[^\s,;)}\]&'"]+)"""
)


class Hidden(str):
    """Stands where a hidden value was: `hidden: card_number`."""

    __slots__ = ()


class Hiding:
    """Hides fields by name. `names` are added to `HIDDEN_NAMES`; of a field's name each word
    counts, however it is written: `card` hides `card_number` and `CardNumber`, not `discard`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        given = (*HIDDEN_NAMES, *names)
        self._names = {_joined(name) for name in given}
        self._known: dict[str, bool] = {}

    def hides(self, name: str) -> bool:
        """Whether a field of this name is hidden."""
        known = self._known.get(name)
        if known is None:  # the fields of a page have few names, and each has them again
            known = self._hides(name)
            if len(name) <= LONGEST_KNOWN and len(self._known) < MOST_KNOWN:
                self._known[name] = known
        return known

    def _hides(self, name: str) -> bool:
        words = [word.lower() for word in _WORD.findall(name)]
        # `api_key` is `apikey` in two words.
        pairs = [a + b for a, b in pairwise(words)]
        return any(word in self._names for word in (*words, *pairs, _joined(name)))

    def shown(self, value: Any, depth: int = 0) -> Any:
        """A value as JSON has it, with Hidden where something is."""
        if depth > DEEPEST:
            return "…"
        if isinstance(value, dict):
            return {
                name: Hidden(f"hidden: {name}") if self.hides(name) else self.shown(one, depth + 1)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.shown(one, depth + 1) for one in value]
        return self.quoted(value) if isinstance(value, str) else value

    def plain(self, value: Any) -> Any:
        """A value for a file: where something is hidden, its text says so."""
        return json.loads(json.dumps(self.shown(value)))

    def values(self, value: Any) -> HiddenValues:
        """The texts of what is hidden in a value."""
        return HiddenValues(self._values(value, 0))

    def _values(self, value: Any, depth: int) -> Iterator[str]:
        if depth > DEEPEST:
            return
        if isinstance(value, dict):
            for name, one in value.items():
                if self.hides(name):
                    yield from _leaves(one)
                else:
                    yield from self._values(one, depth + 1)
        elif isinstance(value, list):
            for one in value:
                yield from self._values(one, depth + 1)

    def quoted(self, text: str, values: HiddenValues = NOTHING_HIDDEN) -> str:
        """A text (an error, a traceback) without what is hidden: the `values` of its payload, and
        what stands behind a hidden name."""
        text = values.taken_out(text)

        def hide(found: re.Match[str]) -> str:
            if not self.hides(found["name"]):
                return found[0]
            return f"{found['name']}{found['mid']}<hidden: {found['name']}>"

        if ":" not in text and "=" not in text:
            return text
        return _PAIR.sub(hide, text)


class _Nothing(Hiding):
    """Hides nothing."""

    def hides(self, name: str) -> bool:
        return False


def read_json(text: str) -> tuple[Any, bool]:
    """What a text says as JSON, and whether it is JSON at all (else the text itself)."""
    try:
        return json.loads(text), True
    except (ValueError, RecursionError):
        return text, False


def _leaves(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif one is not None and not isinstance(one, bool) and len(str(one)) >= SHORTEST:
            yield str(one)


def _joined(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


HIDE_NOTHING: Hiding = _Nothing()
"""For who sees all."""
