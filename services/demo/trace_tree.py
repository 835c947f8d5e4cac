"""The traces of the demo, from the files of its processes, as trees."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WAY = (
    "POST /orders",
    "payment.v1.PaymentService/ProcessPayment",
    "send order.created",
    "process notifications",
    "send e-mail",
)
"""What an order that is paid goes through, until its customer has an e-mail."""


def read_traces(folder: Path) -> list[list[dict[str, Any]]]:
    """The spans of each trace, the oldest first. The last line of a process that was killed may
    not be whole, and is left out."""
    traces: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.spans")):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                span = json.loads(line)
                traces.setdefault(span["trace"], []).append(span)
    for spans in traces.values():
        spans.sort(key=lambda span: span["began"])
    return sorted(traces.values(), key=lambda spans: spans[0]["began"])


def whole_way(traces: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The first trace that goes the whole way; empty when none does."""
    for spans in traces:
        if set(WAY) <= {span["name"] for span in spans}:
            return spans
    return []


def tree(spans: Sequence[dict[str, Any]]) -> str:
    """Each span below its parent, with its kind, when it began and how long it took. What has no
    parent here is at the left."""
    known = {span["id"] for span in spans}
    lines: list[str] = []

    def write(parent: str | None, depth: int) -> None:
        for span in spans:
            above = span["parent"] if span["parent"] in known else None
            if above == parent:
                began = (span["began"] - spans[0]["began"]) / 1e6
                took = (span["ended"] - span["began"]) / 1e6
                name = f"{'  ' * depth}{span['name']} ({span['kind']})"
                lines.append(f"{name:<64} {began:9.1f} ms {took:9.1f} ms\n")
                write(span["id"], depth + 1)

    write(None, 0)
    return "".join(lines)
