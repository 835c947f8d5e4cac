"""Runs a program of the demo with traces: `python -m services.demo.traced FOLDER [-m] PROGRAM …`.

Each span becomes a line of JSON in a file of the process, as soon as it has ended.
"""

import json
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from taskflow.telemetry.otel import TaskflowInstrumentor


class SpanFile(SpanExporter):
    """Appends to a file that other processes do not write to."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write them, and hand them to the system: this process may be killed."""
        for span in spans:
            found = span.get_span_context()
            assert found is not None
            assert span.start_time is not None
            assert span.end_time is not None
            line = {
                "name": span.name,
                "kind": span.kind.name,
                "trace": f"{found.trace_id:032x}",
                "id": f"{found.span_id:016x}",
                "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
                "began": span.start_time,
                "ended": span.end_time,
            }
            self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        return SpanExportResult.SUCCESS


def main(folder: Path, program: Sequence[str]) -> None:
    """Trace from now on, and become the program."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SpanFile(folder / f"{os.getpid()}.spans")))
    trace.set_tracer_provider(provider)
    TaskflowInstrumentor().instrument()
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(program)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
