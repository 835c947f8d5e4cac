"""Values that fuzzing is made of, from one `Random`: good ones, and the kinds that have hurt."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

NASTY = (
    *("", " ", "\0", "\r\nX-Injected: 1", "\x1b[31m", "\x7f", "\ufffe", "\uffff", "\u202e", "é"),
    *("😀", "%", "%00", "%zz", "../..", "//", "?", "#", "&a=1", "a=b=c", "<script>", "{{7*7}}"),
    *("'; DROP TABLE messages;--", "*", "*" * 200, "[" * 900, "{" * 900, '{"a":' * 300, "null"),
    *("true", "True", "-0", "1e999", "NaN", "9" * 400, "0x10", "2147483648", "-1", "0", "1"),
    *("AAE=", "x" * 81, "x" * 257, "x" * 70_000, "arn:", "arn:aws:sqs:::", ":" * 40, "q.fifo"),
)
NUMBERS = (0, 1, -1, 2, 10, 21, 900, 43_200, 2**31, 2**63, -(2**63) - 1, 10**40, 0.5, 1e308)


class Values:
    """Draws. `known` are names and handles that were real when they were noted."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.known: dict[str, list[str]] = {}

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def note(self, kind: str, text: str) -> None:
        """Remember something real; the oldest few are forgotten."""
        kept = self.known.setdefault(kind, [])
        kept.append(text)
        del kept[:-50]

    def of(self, kind: str) -> str:
        """Something real of this kind, if there is any."""
        kept = self.known.get(kind)
        return self.dice.choice(kept) if kept else self.text()

    def text(self) -> str:
        """Mostly short; sometimes with something nasty in it, seldom long."""
        roll = self.dice.random()
        if roll < 0.35:
            return self.dice.choice(NASTY)
        if roll < 0.5:
            return self.spoil_text(self.dice.choice(NASTY))
        if roll < 0.6:
            return "".join(chr(self.dice.randrange(0x250)) for _ in range(self.dice.randrange(12)))
        letters = "abcdefghijkmnopqrstuvwxyz0123456789_-."
        return "".join(self.dice.choices(letters, k=self.dice.randrange(1, 12)))

    def spoil_text(self, text: str) -> str:
        """The text with a piece cut out, doubled or put in."""
        at = self.dice.randrange(len(text) + 1)
        end = min(len(text), at + self.dice.randrange(4))
        put = self.dice.choice(("", text[at:end] * 2, self.dice.choice(NASTY)[:20]))
        return text[:at] + put + text[end:]

    def number(self) -> int | float:
        return self.dice.choice(NUMBERS)

    def json(self, depth: int = 3) -> Any:
        """Any value that JSON has."""
        roll = self.dice.randrange(8 if depth else 6)
        if roll == 6:
            return [self.json(depth - 1) for _ in range(self.dice.randrange(4))]
        if roll == 7:
            return {self.text(): self.json(depth - 1) for _ in range(self.dice.randrange(4))}
        return (self.text, self.text, self.number, lambda: None, lambda: True, lambda: False)[
            roll
        ]()

    def spoil(self, value: Any, words: Sequence[str]) -> Any:
        """A value of JSON with something else somewhere inside."""
        if not isinstance(value, dict | list) or not value or self.chance(0.25):
            return self.json()
        changed = value.copy()
        keys: Any = list(value) if isinstance(value, dict) else range(len(value))
        key = self.dice.choice(keys)
        if isinstance(changed, dict) and self.chance(0.3):
            changed[self.dice.choice(words)] = changed.pop(key)
        else:
            changed[key] = self.spoil(value[key], words)
        return changed

    def spoil_bytes(self, body: bytes) -> bytes:
        """A body with bytes changed, doubled, or cut off."""
        changed = bytearray(body)
        for _ in range(self.dice.randrange(1, 4)):
            at = self.dice.randrange(len(changed) + 1)
            match self.dice.randrange(4):
                case 0:
                    changed[at : at + 1] = self.dice.randbytes(1)
                case 1:
                    changed[at:at] = changed[at : at + self.dice.randrange(40)]
                case 2:
                    del changed[at : at + self.dice.randrange(1, 40)]
                case _:
                    changed[at:at] = self.dice.choice(NASTY)[:30].encode("utf-8", "replace")
        return bytes(changed)


def to_json(value: Any) -> bytes:
    """As bytes; numbers that JSON lacks are written all the same."""
    return json.dumps(value).encode()
