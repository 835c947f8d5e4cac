"""What is done after a request."""

from pydantic import BaseModel

from taskflow import Context, Reject, task


class Line(BaseModel):
    """One line of a report."""

    name: str
    cents: int


@task(queue="reports", result="1h", retries=2)
async def make_report(ctx: Context, title: str, lines: list[Line]) -> str:
    """The report as text."""
    if not lines:
        raise Reject("a report has one line at least")
    text = [title]
    for number, line in enumerate(lines, 1):
        text.append(f"{line.name}: {line.cents}")
        ctx.progress(number, len(lines))
    return "\n".join(text)
