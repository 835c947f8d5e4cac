"""What a text looks like inside stored JSON, for a search that knows no JSON."""

import json
from collections.abc import Collection


def written_forms(text: str) -> list[str]:
    """The text as it stands in a body that is plain, in JSON, and in JSON within JSON (a failure
    record in an attribute); each once."""
    forms = [text]
    for plain in (True, False):
        once = json.dumps(text, ensure_ascii=plain)[1:-1]
        forms += [once, json.dumps(once, ensure_ascii=plain)[1:-1]]
    return list(dict.fromkeys(forms))


def like(text: str) -> str:
    """The pattern of LIKE that finds the text anywhere; its escape is a backslash."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def whole(values: Collection[str]) -> list[str]:
    """Those that are to be equal."""
    return [one for one in values if not one.endswith("*")]


def beginnings(values: Collection[str]) -> list[str]:
    """What the others, which end in `*`, begin with."""
    return [one[:-1] for one in values if one.endswith("*")]


def after_all(beginning: str) -> str:
    """What comes after every text that begins so, in the order of code points."""
    return beginning + "\U0010ffff"
