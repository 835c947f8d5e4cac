"""How the pages write numbers, times and durations."""

from markupsafe import Markup

from taskflow.clock import rfc3339

NBSP = "\N{NO-BREAK SPACE}"
UNKNOWN = "\N{EN DASH}"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_LAST_MOMENT = 253402300799.0  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def write_number(number: float | None) -> str:
    """A count as 1,840, a rate with three digits (118, 24.8, 0.05); – for what is not known."""
    if number is None:
        return UNKNOWN
    if isinstance(number, int) or number == int(number):
        return f"{int(number):,}"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 1 else f"{number:.2f}".rstrip("0").rstrip(".")


def write_percent(part: float, whole: float) -> str:
    """A share in percent, with one decimal below 100; – of nothing."""
    if not whole:
        return UNKNOWN
    percent = part * 100 / whole
    text = f"{percent:.0f}" if percent >= 100 or percent == 0 else f"{percent:.1f}"
    return f"{text}{NBSP}%"


def write_span(seconds: float | None) -> str:
    """A duration in two units at most: 9 ms, 5.02 s, 6 min 12 s, 2 h 29 min, 3 d."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < 1:
        milli = seconds * 1000
        text = f"{milli:.1f}".removesuffix(".0") if 0 < milli < 9.95 else f"{milli:.0f}"
        return f"{text}{NBSP}ms" if seconds else f"0{NBSP}s"
    if seconds < 9.995:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + f"{NBSP}s"
    left = round(seconds)
    if left >= 3 * 86400:  # from three days on hours say nothing
        return f"{left // 86400}{NBSP}d"
    units = iter(_UNITS)
    unit, size = next(one for one in units if left >= one[1])
    text = f"{left // size}{NBSP}{unit}"
    smaller, small = next(units, ("", 0))
    if small and (rest := left % size // small):
        text += f" {rest}{NBSP}{smaller}"
    return text


def write_moment(moment: float | None, now: float) -> Markup | str:
    """A time in UTC: today 12:31:07, else 26 Nov 03:00, with the year when it is another."""
    if moment is None:
        return UNKNOWN
    if not 0 <= moment <= _LAST_MOMENT:
        return str(moment)
    full, today = rfc3339(moment), rfc3339(min(max(now, 0.0), _LAST_MOMENT))
    if full[:10] == today[:10]:
        shown = full[11:19]
    else:
        shown = f"{int(full[8:10])}{NBSP}{_MONTHS[int(full[5:7]) - 1]}"
        shown += f" {full[:4]}" if full[:4] != today[:4] else f" {full[11:16]}"
    stamp = full[:19] + "Z"
    return Markup('<time datetime="{}">{}</time>').format(stamp, shown)


def write_ago(moment: float | None, now: float) -> str:
    """How long ago, or in how long: `41 s ago`, `in 8 s`."""
    if moment is None:
        return UNKNOWN
    if moment > now:
        return f"in {write_span(moment - now)}"
    return f"{write_span(now - moment)} ago"


def write_plural(number: int, one: str, many: str = "") -> str:
    """`1 queue`, `2 queues`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_id(id: str) -> str:
    """The ends of a long id: 01a2…b944."""
    return id if len(id) <= 16 else f"{id[:4]}…{id[-4:]}"


def in_words(error: Exception) -> str:
    """What a broker refuses, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
