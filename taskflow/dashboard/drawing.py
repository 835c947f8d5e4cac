"""Charts as SVG: positions are attributes and colours classes, so no style attribute is needed."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from taskflow.dashboard.writing import write_number, write_span

Values = Sequence[float | None]
NAMED = 16
"""Characters of a mark's name that are shown."""
_TOP = _BOTTOM = 18
_TIMES = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800]
_TIMES += [3600, 2 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 5 * 86400]


class Line(NamedTuple):
    """A line of a chart: its class (its colour), its name, a value a step (None: not known), and
    whether the area below it is filled."""

    colour: str
    name: str
    values: Values
    filled: bool = False


class Mark(NamedTuple):
    """A moment of a chart: where it lies, 0 to 1 from the left, when that was (11:31), and what is
    said of it."""

    part: float
    moment: str
    said: str


def spark(values: Values, bad: bool = False) -> Markup:
    """A line without axes, of its own scale; nothing when nothing is known, or all is zero."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or not any(known):
        return Markup("")
    paths = _paths(values, 60.0, 18.0, max(known) * 1.05)
    area = _areas(values, 60.0, 18.0, max(known) * 1.05) if bad else []
    return Markup(
        f'<svg class="spark{" bad" if bad else ""}" viewBox="0 -1 60 20" '
        'preserveAspectRatio="none" aria-hidden="true">'
        + "".join(f'<path class="area" d="{d}"/>' for d in area)
        + "".join(f'<path d="{d}"/>' for d in paths)
        + "</svg>"
    )


def chart(
    lines: Sequence[Line],
    moments: Sequence[str],
    label: str,
    *,
    unit: str = "/s",
    height: int = 150,
    limit: float | None = None,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Some lines over the same steps, each of which is called by its moment (11:31). `label` says
    what it shows, to who does not see it; `unit`: "/s", or "s" for durations. A step that is not
    known is a gap; `marks` are dashed. Nothing when fewer than two are known."""
    steps = len(moments)
    known = [value for line in lines for value in line.values if value is not None]
    if steps < 2 or all(len(line.values) - line.values.count(None) < 2 for line in lines):
        return Markup("")
    most = max([*known, limit or 0.0]) * 1.1 or 1.0
    inner = height - _TOP - _BOTTOM

    def up(value: float) -> float:
        return _TOP + inner - value / most * inner

    label = "; ".join([label, *(f"{one.said} at {one.moment}" for one in marks)])
    out = [f'<svg class="chart" height="{height}" role="img" aria-label="{escape(label)}">']
    ticks = _time_ticks(most) if unit == "s" else _ticks(most)
    out += [f'<line x1="0" x2="100%" y1="{up(v):.1f}" y2="{up(v):.1f}"/>' for v in (0.0, *ticks)]
    for part, anchor in ((0, "start"), (1, "middle"), (2, "middle"), (3, "middle"), (4, "end")):
        at = (steps - 1) * part // 4
        out.append(
            f'<text x="{part * 25}%" y="{height - 3}" text-anchor="{anchor}">'
            f"{escape(moments[at])}</text>"
        )
    if limit is not None:
        out.append(
            f'<line class="limit" x1="0" x2="100%" y1="{up(limit):.1f}" y2="{up(limit):.1f}"/>'
        )
    out.append(
        f'<svg y="{_TOP}" width="100%" height="{inner}" viewBox="0 0 {steps - 1} 100" '
        'preserveAspectRatio="none">'
    )
    for line in lines:
        if line.filled:
            out += [
                f'<path class="area {line.colour}" d="{d}"/>'
                for d in _areas(line.values, steps - 1.0, 100.0, most)
            ]
        out += [
            f'<path class="{line.colour}" d="{d}"/>'
            for d in _paths(line.values, steps - 1.0, 100.0, most)
        ]
    out.append("</svg>")
    out += [f'<text x="0" y="{up(v) - 3:.1f}">{_said(v, unit)}</text>' for v in ticks]
    out += _marks(marks, height)
    out += [_hover(lines, moments, at, inner, unit) for at in range(0, steps, max(1, steps // 30))]
    return Markup("\n".join([*out, "</svg>"]))


def meter(part: float, colour: str = "run") -> Markup:
    """How full something is, 0 to 1."""
    width = min(max(part, 0.0), 1.0) * 100
    return Markup(
        '<svg class="meter" aria-hidden="true"><rect class="back" width="100%" height="6" rx="3"/>'
        f'<rect class="bar {colour}" width="{width:.3g}%" height="6" rx="3"/></svg>'
    )


def gantt(bars: Sequence[tuple[float, float, str]]) -> Markup:
    """When something ran: bars of (start, width, class), both in parts of the whole."""
    out = ['<svg class="gantt" aria-hidden="true"><line x1="0" x2="100%" y1="10" y2="10"/>']
    out += [
        f'<rect class="{"" if colour == "wait" else "bar "}{colour}" '
        f'x="{min(max(start, 0.0), 0.996) * 100:.4g}%" '
        f'width="{max(min(width, 1.0 - start), 0.004) * 100:.4g}%" y="4" height="12" rx="2"/>'
        for start, width, colour in bars
    ]
    return Markup("".join([*out, '<line class="now" x1="100%" x2="100%" y1="0" y2="20"/></svg>']))


def _said(value: float | None, unit: str) -> str:
    if value is None:
        return "\N{EN DASH}"
    return write_span(value) if unit == "s" else f"{write_number(value)}{unit}"


def _ticks(most: float) -> list[float]:
    """Two or three round numbers below the top."""
    size = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 0.1
    while size >= most:
        size /= 10
    step = next(n * size for n in (0.5, 1, 2, 5, 10) if most / (n * size) <= 3.99)
    return [step * n for n in (1, 2, 3) if step * n < most]


def _time_ticks(most: float) -> list[float]:
    """As `_ticks`, of times that people have words for."""
    step = next((one for one in _TIMES if most / one <= 3.99), 0.0)
    return [step * n for n in (1, 2, 3) if step * n < most] if step else _ticks(most)


def _runs(values: Values, width: float, height: float, most: float) -> list[list[str]]:
    """The points of each stretch that is known."""
    step = width / max(1, len(values) - 1)
    found: list[list[str]] = []
    open = False
    for at, value in enumerate(values):
        if value is None:
            open = False
            continue
        if not open:
            found.append([])
        found[-1].append(f"{at * step:.4g} {height - min(value / most, 1.0) * height:.4g}")
        open = True
    return found


def _paths(values: Values, width: float, height: float, most: float) -> list[str]:
    return ["M" + " L".join(run) for run in _runs(values, width, height, most)]


def _areas(values: Values, width: float, height: float, most: float) -> list[str]:
    return [
        f"M{run[0].partition(' ')[0]} {height:g} L{' L'.join(run)} "
        f"L{run[-1].partition(' ')[0]} {height:g}Z"
        for run in _runs(values, width, height, most)
    ]


def _marks(marks: Sequence[Mark], height: int) -> list[str]:
    """Dashed lines, named where there is room for a name."""
    out: list[str] = []
    free = 0.0
    for one in sorted(marks):
        x = f"{one.part * 100:.1f}%"
        out.append(
            f'<line class="deploy" x1="{x}" x2="{x}" y1="4" y2="{height - _BOTTOM}">'
            f"<title>{escape(one.said)} at {escape(one.moment)}</title></line>"
        )
        if one.part < free:
            continue
        is_right = one.part > 0.75
        out.append(
            f'<text class="deploy-name" x="{x}" dx="{-4 if is_right else 4}" y="11" '
            f'text-anchor="{"end" if is_right else "start"}">{escape(one.said[:NAMED])}</text>'
        )
        free = one.part + 0.25
    return out


def _hover(lines: Sequence[Line], moments: Sequence[str], at: int, inner: int, unit: str) -> str:
    said = " · ".join(f"{line.name} {_said(line.values[at], unit)}" for line in lines)
    each = max(1, len(moments) // 30)
    return (
        f'<rect class="look" x="{at / len(moments) * 100:.1f}%" y="{_TOP}" '
        f'width="{each * 100 / len(moments):.1f}%" height="{inner}">'
        f"<title>{escape(moments[at])} · {escape(said)}</title></rect>"
    )
