"""Tags of a queue or topic: what is set and what is removed, within the number there may be."""

from collections.abc import Callable, Mapping

from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_TAGS


def change_tags(
    what: str,
    present: Mapping[str, str],
    tags: Mapping[str, str | None],
    put: Callable[[dict[str, str]], object],
    drop: Callable[[list[str]], object],
) -> None:
    """Set and remove tags; refuse more than there may be before anything is changed."""
    chosen = {key: text for key, text in tags.items() if text is not None}
    gone = [key for key, text in tags.items() if text is None and key in present]
    count = len((present.keys() | chosen.keys()) - set(gone))
    if count > MAX_TAGS:
        raise LimitExceeded(f"{what} would have {count} tags; {MAX_TAGS}")
    if gone:
        drop(gone)
    if chosen:
        put(chosen)
