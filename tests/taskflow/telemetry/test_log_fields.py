"""The user's own log lines say which run they are of; JSON lines hold it as fields."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import Event, Registry, Worker, publish
from taskflow.cli.log_lines import TextLines
from taskflow.event import Context
from taskflow.middleware import Run
from taskflow.retry import Outcome
from taskflow.telemetry.json_lines import JsonLines
from taskflow.telemetry.run_fields import RunFields

Work = Callable[..., Worker]
own = logging.getLogger("shop")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the user's logger writes, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.addFilter(RunFields())
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    yield stream
    own.removeHandler(handler)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_lines_of_a_run_say_which_it_is(
    work: Work, taskflow_registry: Registry, written: io.StringIO, asynchronous: bool
) -> None:
    def handle(event: Event[Any]) -> None:
        own.info("in the %s", "handler", extra={"queue": "the user's own"})

    async def handle_async(event: Event[Any]) -> None:
        handle(event)

    def around(context: Context, run: Run) -> Outcome:
        own.info("in the middleware")
        return run(context)

    taskflow_registry.use(around)
    worker = work(handle_async if asynchronous else handle)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event_id = publish("made", {"card": "4242"}, traceparent=trace)
    worker.drain()
    own.info("after it")
    middle, inner, outside = map(json.loads, written.getvalue().splitlines())
    run = {
        "event": event_id,
        "topic": "made",
        "queue": "work",
        "attempt": 1,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    assert run.items() <= middle.items()
    assert {**run, "queue": "the user's own", "message": "in the handler"}.items() <= inner.items()
    assert inner["handler"].endswith(".handle_async" if asynchronous else ".handle")
    assert set(outside) == {"time", "level", "logger", "message"}


def test_the_trace_is_that_of_the_span_that_is_current(
    work: Work, written: io.StringIO, spans: Callable[[], list[Any]]
) -> None:
    worker = work(lambda event: own.info("within"))
    publish("made", 1)
    worker.drain()
    (process,) = [span for span in spans() if span.name == "process work"]
    line = json.loads(written.getvalue())
    assert line["span_id"] == f"{process.context.span_id:016x}"


class _Unwilling:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_whatever_a_record_holds_is_one_line_of_json(written: io.StringIO) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    for value in (
        float("nan"),
        cycle,
        {1: 2, (): 3},
        _Unwilling(),
        b"\xff",
        "\x1b[2J\n\u2028\udcff",
    ):
        own.error("odd\n%s", "\u202e", extra={"value": value})
    try:
        raise ValueError("broken")
    except ValueError:
        own.exception("failed", stack_info=True)
    lines = written.getvalue().splitlines()
    assert len(lines) == 7
    assert written.getvalue().isascii()
    assert [json.loads(line)["message"] for line in lines] == ["odd\n\u202e"] * 6 + ["failed"]
    assert json.loads(lines[-1])["exception"].endswith("ValueError: broken")
    assert "no text" not in written.getvalue(), "what an object says of its failure is its own"


def test_as_text_the_ids_follow_the_line() -> None:
    lines = TextLines("%(name)s %(message)s")
    fields = {"event": "evt_1\n", "attempt": 2, "trace_id": "abc", "queue": "work"}
    own_line = lines.format(logging.makeLogRecord({"name": "shop", "msg": "paid", **fields}))
    assert own_line == r"shop paid event=evt_1\n attempt=2 trace_id=abc"
    ours = {"name": "taskflow.worker", "msg": "event=evt_1 done", **fields}
    assert (
        lines.format(logging.makeLogRecord(ours)) == "taskflow.worker event=evt_1 done trace_id=abc"
    )
    bare = {"name": "shop", "msg": "up", "event": "-", "attempt": "-", "trace_id": "-"}
    assert lines.format(logging.makeLogRecord(bare)) == "shop up"


def test_what_an_exception_says_moves_no_cursor() -> None:
    try:
        raise ValueError("\x1b[2J\x9b1m")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = TextLines("%(message)s").format(record)
    assert line.endswith(r"ValueError: \x1b[2J\x9b1m")
    assert line.startswith("failed\nTraceback")
