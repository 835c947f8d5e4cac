"""What the child runs of a step are called: the same however often their parent comes by."""

import hashlib
from collections.abc import Iterable

LONGEST = 100  # characters: a message group or deduplication id has 128 at most


def child_id(life: str, step: str, number: int | None) -> str:
    """The id of a child of a step of this life of a run; `number` None: it is alone."""
    id = f"{life}.{step.removeprefix('call:').removeprefix('map:')}"
    if len(id) > LONGEST or not id.isascii() or " " in id:
        id = f"{life[:50]}.{hashlib.sha256(id.encode()).hexdigest()[:32]}"
    return id if number is None else f"{id}.{number}"


def ids_of(life: str, step: str, numbers: Iterable[int], alone: bool) -> list[str]:
    """The children of a step that have these numbers, from 0 on."""
    return [child_id(life, step, None if alone else at) for at in numbers]
