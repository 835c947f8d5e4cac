"""Payloads and tracebacks as a page shows them: hidden fields keep their place, all is escaped."""

import json
import re
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from taskflow.dashboard.hiding import Hidden, Hiding, read_json
from taskflow.sealing.codec import hide_sealed
from taskflow.text import printable

MOST_SHOWN = 20_000
"""Characters of a payload that are shown at once."""

_LIBRARY = re.compile(r"site-packages|dist-packages|/lib/python\d|<frozen ")
_OURS = re.compile(r"[/\\]taskflow[/\\]")
_FRAME = re.compile(r'  File "(.*)", line (\d+), in (.*)')


class Code(NamedTuple):
    """A text for a <pre>, how many fields of it are hidden, and whether some of it is left out."""

    html: Markup
    hidden: int
    cut: bool


def write_payload(text: str, hiding: Hiding) -> Code:
    """A body: JSON laid out and coloured, other text as it is."""
    value, is_json = read_json(hide_sealed(text))
    shown = hiding.shown(value)
    if isinstance(shown, str):
        plain = printable(_as_json(shown)) if is_json else printable(shown, lines=True)
        begun = plain if len(plain) <= MOST_SHOWN else f"{plain[:MOST_SHOWN]} …"
        html = Markup('<span class="s">{}</span>').format(begun) if is_json else escape(begun)
        return Code(html, 0, len(plain) > MOST_SHOWN)
    out: list[str] = []
    _write(shown, "", out)
    return _cut(out, _count(shown))


def write_traceback(text: str) -> Markup:
    """A traceback with its frames marked: one's own, and those of libraries. Frames of taskflow
    itself are left out; of what is no traceback, nothing is."""
    out: list[str] = []
    skipping = False
    for line in printable(text, lines=True).splitlines():
        if (frame := _FRAME.fullmatch(line)) is not None:
            path, number, where = frame.groups()
            skipping = bool(_OURS.search(path)) and "/examples/" not in path
            if skipping:
                continue
            colour = "lib" if _LIBRARY.search(path) else "own"
            said = escape(f"{path}:{number}  in {where}")
            out.append(f'<span class="{colour}">{said}</span>')
        elif line.startswith("    "):
            if not skipping:
                out.append(str(escape(line)))
        else:
            skipping = False
            out.append(f'<span class="last">{escape(line)}</span>' if line else "")
    return Markup("\n".join(out))


def _count(value: Any) -> int:
    if isinstance(value, Hidden):
        return 1
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 0


def _cut(out: list[str], count: int) -> Code:
    size = 0
    for at, part in enumerate(out):
        size += len(part)
        if size > MOST_SHOWN:
            return Code(Markup("".join(out[:at]) + " …"), count, True)
    return Code(Markup("".join(out)), count, False)


def _write(value: Any, indent: str, out: list[str]) -> None:
    """The value in pieces that may be cut between."""
    deeper = indent + "  "
    if isinstance(value, Hidden):
        out.append(f'<span class="hidden">{escape(value)}</span>')
    elif isinstance(value, dict) and value:
        _write_items("{", "}", list(value.items()), indent, deeper, out)
    elif isinstance(value, list) and value:
        _write_items("[", "]", [(None, one) for one in value], indent, deeper, out)
    elif isinstance(value, str):
        out.append(f'<span class="s">{_quoted(value)}</span>')
    elif isinstance(value, bool) or value is None or isinstance(value, int | float):
        out.append(f'<span class="d">{escape(json.dumps(value))}</span>')
    else:
        out.append("{}" if isinstance(value, dict) else "[]")


def _write_items(
    open: str, close: str, items: list[tuple[Any, Any]], indent: str, deeper: str, out: list[str]
) -> None:
    out.append(open)
    for at, (name, one) in enumerate(items):
        out.append("\n" + deeper)
        if name is not None:
            out.append(f'<span class="k">{_quoted(name)}</span>: ')
        _write(one, deeper, out)
        if at < len(items) - 1:
            out.append(",")
    out.append(f"\n{indent}{close}")


def _quoted(text: str) -> str:
    """A text as JSON writes it, with what would turn or hide text in a page written as escapes."""
    return str(escape(printable(_as_json(text))))


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
