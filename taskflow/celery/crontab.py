"""`crontab(...)` of Celery, as the text of a cron expression."""

from collections.abc import Iterable

from taskflow.celery.not_ported import refuse

Part = str | int | Iterable[int]
_NAMES = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


class Crontab:
    """When something is to run. `expression` is the same as five fields of cron: minute, hour, day
    of the month, month, day of the week. Raises NotPorted when both days are given, which Celery
    reads otherwise than cron does."""

    def __init__(
        self,
        minute: Part = "*",
        hour: Part = "*",
        day_of_week: Part = "*",
        day_of_month: Part = "*",
        month_of_year: Part = "*",
    ) -> None:
        parts = (minute, hour, day_of_week, day_of_month, month_of_year)
        texts = [_text(name, part) for name, part in zip(_NAMES, parts, strict=True)]
        minutes, hours, week, month, year = texts
        if week != "*" and month != "*":
            raise refuse("crontab with days of both kinds")
        self.expression = f"{minutes} {hours} {month} {year} {week}"

    @classmethod
    def from_string(cls, text: str) -> "Crontab":
        """From the five fields of a line of cron. Raises ValueError when they are not five."""
        fields = text.split()
        if len(fields) != 5:
            raise ValueError(f"crontab is {text!r}; five fields are wanted")
        minute, hour, day_of_month, month_of_year, day_of_week = fields
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crontab) and self.expression == other.expression

    def __hash__(self) -> int:
        return hash(self.expression)

    def __repr__(self) -> str:
        return f"<crontab: {self.expression}>"


def _text(name: str, part: Part) -> str:
    if isinstance(part, bool) or not isinstance(part, str | int | Iterable):
        raise TypeError(f"{name} is {part!r}; a number, several, or text as in cron")
    if isinstance(part, str):
        text = part.replace(" ", "")
    elif isinstance(part, int):
        text = str(part)
    else:
        text = ",".join(map(str, sorted(part)))
    if not text:
        raise ValueError(f"{name} is empty; '*' is any")
    return text
