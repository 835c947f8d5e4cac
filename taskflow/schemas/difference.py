"""A difference between two payload types, and whom it hurts."""

from typing import Literal, get_args

import msgspec

Effect = Literal["breaking", "careful", "compatible"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
"""From the worst on. `breaking`: what was sent before is refused by the new code, or what the new
code sends lacks what older code needs. `careful`: what the new code may send is refused by older
workers, until they are replaced. `compatible`: neither."""


class Difference(msgspec.Struct, frozen=True):
    """`payload` names the handler or task, `path` the place in it (`$.items[].price`)."""

    effect: Effect
    payload: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.effect}: {self.payload} at {self.path}: {self.what}"
