"""A finding: what will go wrong, by which rule, with the values that say so and what to do."""

from typing import Literal, get_args

import msgspec

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the worst on: work is lost or never done; it may be, or is delayed; somebody should know."""


class Finding(msgspec.Struct, frozen=True):
    """`number` is that of its rule, for good. `about` names the queue, handler, topic or file;
    `what` holds the values, `advice` what to do."""

    number: str
    severity: Severity
    about: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.number} {self.severity}: {self.about}: {self.what}\n    → {self.advice}"


class Rule(msgspec.Struct, frozen=True):
    """What is looked for under a number. A number is never given to another rule."""

    number: str
    severity: Severity
    title: str
    why: str

    def found(self, about: str, what: str, advice: str) -> Finding:
        """A finding by this rule."""
        return Finding(self.number, self.severity, about, what, advice)
