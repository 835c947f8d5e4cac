"""What an action is about to do, as its confirm page says it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ended:
    """What an action did: a sentence, the page that shows it, and how many messages it was."""

    said: str
    path: str
    query: Mapping[str, str]
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An action before somebody is sure.

    `frozen` are the fields that say all of it; they travel with the confirm page, under its token,
    so that what was shown is what is done. `facts` are names and values; `sample` ids of some
    messages. `typed`: the number is to be typed. `direct`: it is done without a confirm page, since
    it is few and another button undoes it. `run` does it. `queue`, `target` and `did` are for
    the record.
    """

    did: str
    title: str
    lede: str
    button: str
    frozen: Mapping[str, str]
    run: Callable[[], Ended]
    facts: Sequence[tuple[str, str]] = ()
    sample: Sequence[str] = ()
    count: int = 1
    danger: bool = False
    typed: bool = False
    direct: bool = False
    back: str = "/"
    back_query: Mapping[str, str] = field(default_factory=dict)
    queue: str = ""
    target: str = ""
    choices: Sequence[str] = ()
