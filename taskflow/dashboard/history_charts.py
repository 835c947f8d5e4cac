"""What was: the kept history of queues as lines to draw, and as figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from taskflow.broker.history import MINUTE, QUARTER, Point, Span
from taskflow.clock import rfc3339
from taskflow.dashboard.deploys import Deploy
from taskflow.dashboard.drawing import Line, Mark, Values, chart, spark
from taskflow.dashboard.writing import write_number, write_span

STEPS = {"hour": 60, "days": 192}
SIZE = {"hour": MINUTE, "days": QUARTER}


LATE = 60.0  # seconds that are drawn as a limit
HEADS = (
    *("UTC", "Sent /s", "Handled /s", "Waiting", "Dead letters"),
    *("Longest due", "Half within", "99 of 100 within"),
)


class Figures(NamedTuple):
    """The rows of a chart as a table: moments, and a value each of every line."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Steps:
    """The history of one queue, or of many together, step by step up to now; a step without a
    point is not known."""

    def __init__(self, points: Sequence[Sequence[Point]], span: Span, now: float) -> None:
        self.span: Span = span
        size, count = SIZE[span], STEPS[span]
        self._last = int(now // size)
        self._size = size
        self._slots: list[list[Point]] = [[] for _ in range(count)]
        for some in points:
            for one in some:
                at = count - 1 - (self._last - int(one.at // size))
                if 0 <= at < count:
                    self._slots[at].append(one)

    @property
    def known(self) -> int:
        """How many steps are known."""
        return sum(map(bool, self._slots))

    def moments(self) -> list[str]:
        """What each step is called: 11:31, or 26 11:30 over days."""
        count = len(self._slots)
        return [self._moment((self._last - count + 1 + at) * self._size) for at in range(count)]

    def marks(self, deploys: Sequence[Deploy]) -> list[Mark]:
        """Those of the deploys that were within these steps."""
        count = len(self._slots)
        first = (self._last - count + 1) * self._size
        width = (count - 1) * self._size
        return [
            Mark(min((one.at - first) / width, 1.0), self._moment(one.at), one.name)
            for one in deploys
            if one.at >= first
        ]

    def _moment(self, at: float) -> str:
        text = rfc3339(at)
        return text[11:16] if self.span == "hour" else f"{text[8:10]}. {text[11:16]}"

    def rates(self, field: str) -> Values:
        """A count a step, as a rate a second."""
        return [self._sum(some, field, self._size) for some in self._slots]

    def levels(self, field: str) -> Values:
        """What was there at each step."""
        return [self._sum(some, field, 1.0) for some in self._slots]

    def ages(self) -> Values:
        """For how long the message had been due that was due the longest. Points of older releases
        tell its age alone."""
        return [
            max((one.age if one.due_age is None else one.due_age for one in some), default=None)
            for some in self._slots
        ]

    def waited(self, field: str) -> Values:
        """Within how long those had begun that began at each step."""
        return [max(self._known(some, field), default=None) for some in self._slots]

    @staticmethod
    def _known(some: Sequence[Point], field: str) -> list[float]:
        return [value for one in some if (value := getattr(one, field)) is not None]

    @classmethod
    def _sum(cls, some: Sequence[Point], field: str, over: float) -> float | None:
        values = cls._known(some, field)
        return sum(values) / over if values else None


def flow_lines(steps: Steps) -> list[Line]:
    """What was sent and what was handled."""
    return [
        Line("in", "sent", steps.rates("sent")),
        Line("out", "handled", steps.rates("handled"), True),
    ]


def flow_chart(steps: Steps, what: str, deploys: Sequence[Deploy] = ()) -> Markup:
    """Messages a second."""
    lines = flow_lines(steps)
    said = ", ".join(
        f"{line.name} {_between(line.values, write_number)} a second" for line in lines
    )
    return chart(lines, steps.moments(), f"{what}: {said}", marks=steps.marks(deploys))


def level_lines(steps: Steps) -> list[Line]:
    """What waited, and what was dead."""
    return [
        Line("slow", "waiting", steps.levels("visible"), True),
        Line("limit", "dead letters", steps.levels("dead")),
    ]


def level_chart(steps: Steps, what: str, deploys: Sequence[Deploy] = ()) -> Markup:
    """Messages that waited."""
    lines = level_lines(steps)
    said = ", ".join(f"{line.name} {_between(line.values, write_number)}" for line in lines)
    return chart(lines, steps.moments(), f"{what}: {said}", unit="", marks=steps.marks(deploys))


def age_chart(steps: Steps, what: str, deploys: Sequence[Deploy] = ()) -> Markup:
    """For how long the message had been due that was due the longest."""
    lines = [Line("slow", "longest due", steps.ages(), True)]
    said = f"the longest that one was due was {_between(lines[0].values, write_span)}"
    return chart(
        *(lines, steps.moments(), f"{what}: {said}"),
        unit="s",
        limit=LATE,
        marks=steps.marks(deploys),
    )


def wait_lines(steps: Steps) -> list[Line]:
    """How long messages waited that began, from sent to started."""
    return [
        Line("slow", "99 of 100 within", steps.waited("most_waited"), True),
        Line("out", "half within", steps.waited("half_waited")),
    ]


def wait_chart(steps: Steps, what: str, deploys: Sequence[Deploy] = ()) -> Markup:
    """How long messages waited that began; the limit is drawn when it is near."""
    lines = wait_lines(steps)
    said = ", ".join(f"{line.name} {_between(line.values, write_span)}" for line in lines)
    is_near = max((value for value in lines[0].values if value is not None), default=0) > LATE / 4
    return chart(
        *(lines, steps.moments(), f"{what}: {said}"),
        unit="s",
        limit=LATE if is_near else None,
        marks=steps.marks(deploys),
    )


def figures(steps: Steps, waits: Steps) -> Figures:
    """All that the charts draw, newest first; what is not known is left out. `waits` are the steps
    in which it stands how long messages waited."""
    lines = [*flow_lines(steps), *level_lines(steps)]
    spans = [steps.ages(), *(line.values for line in reversed(wait_lines(waits)))]
    rows = [
        (
            moment,
            *(write_number(line.values[at]) for line in lines),
            *(write_span(values[at]) for values in spans),
        )
        for at, moment in enumerate(steps.moments())
        if any(line.values[at] is not None for line in lines)
    ]
    return Figures(HEADS, rows[::-1])


def waiting_spark(
    history: Mapping[str, Sequence[Point]], name: str, now: float, bad: bool
) -> Markup:
    """What waited in a queue in the last hour."""
    if name not in history:
        return Markup("")
    values = Steps([history[name]], "hour", now).levels("visible")
    pairs = zip(values[::2], values[1::2], strict=True)
    return spark([b if b is not None else a for a, b in pairs], bad)


def _between(values: Values, write: Callable[[float | None], str]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not known"
    low, high = write(min(known)), write(max(known))
    return low if low == high else f"{low} to {high}"
