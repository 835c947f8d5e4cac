"""Results as Markdown tables."""

from collections.abc import Sequence

from benchmarks.report import Column, cell, grid, hundredths, number, tenths, thousandths
from benchmarks.results import Results
from benchmarks.wire.servers import BY_NAME
from benchmarks.wire.targets import VERBS, judge

PANELS = (
    ("b", "c8_b1_messages_per_cpu", "(b) singly, messages per CPU second, 8 connections"),
    ("b", "c8_b10_messages_per_cpu", "(b) in tens, messages per CPU second, 8 connections"),
    ("b", "c8_b1_rate", "(b) singly, messages/s, 8 connections"),
    ("d", "q10_messages_per_cpu", "(d) one topic to ten queues, messages per CPU second"),
    ("f", "busy_p99_ms", "(f) wake-up of a parked poll, p99 in ms"),
    ("g", "grown_per_100k", "(g) memory per 100,000 messages of 1 KiB, MB"),
)


def _cycle_columns(connections: int) -> Sequence[Column]:
    columns: list[Column] = []
    for batch, how in ((1, "singly"), (10, "in tens")) if connections <= 8 else ((1, "singly"),):
        prefix = f"c{connections}_b{batch}_"
        columns += [
            (f"{how}: messages/s", f"{prefix}rate", number),
            ("per CPU second", f"{prefix}messages_per_cpu", number),
            ("CPU s per 1,000 requests", f"{prefix}cpu_per_1000", hundredths),
            ("send p50 ms", f"{prefix}send_p50_ms", tenths),
        ]
    return columns


OPERATIONS: Sequence[Column] = tuple(
    (f"{verb}{' ten' if batch == 10 else ''}", f"{verb}{batch}_cpu_ms", hundredths)
    for batch in (1, 10)
    for verb in VERBS
)
TABLES: Sequence[tuple[str, str, Sequence[Column]]] = (
    (
        "a",
        "start-up until the first answer, and memory then",
        (("s", "startup", hundredths), ("MB", "memory", number)),
    ),
    ("b", "send, receive, delete: 1 connection", _cycle_columns(1)),
    ("b", "send, receive, delete: 8 connections", _cycle_columns(8)),
    ("b", "send, receive, delete: 64 connections", _cycle_columns(64)),
    ("c", "CPU ms a request, nothing waiting, 8 connections", OPERATIONS),
    (
        "d",
        "SNS Publish, 8 connections",
        tuple(
            (heading, f"{name}_{metric}", number)
            for name, title in (
                ("q1", "1 queue"),
                ("q10", "10 queues"),
                ("q10raw", "10 queues, raw"),
            )
            for heading, metric in (
                (f"{title}: publishes/s", "rate"),
                ("deliveries per CPU second", "messages_per_cpu"),
            )
        ),
    ),
    (
        "e",
        "boto3, one client",
        tuple(
            column
            for batch, how in ((1, "singly"), (10, "in tens"))
            for column in (
                (f"{how}: messages/s", f"b{batch}_rate", number),
                ("server's CPU s per 1,000 requests", f"b{batch}_cpu_per_1000", hundredths),
                ("boto3's", f"b{batch}_client_cpu_per_1000", hundredths),
            )
        ),
    ),
    (
        "f",
        "500 parked polls: from SendMessage to the poll's answer, ms",
        (
            ("idle request p50", "idle_p50_ms", hundredths),
            ("idle request p99", "idle_p99_ms", hundredths),
            ("wake-up p50", "quiet_p50_ms", hundredths),
            ("wake-up p99", "quiet_p99_ms", hundredths),
            ("p50 while others work", "busy_p50_ms", hundredths),
            ("p99 while others work", "busy_p99_ms", hundredths),
            ("CPU share, all parked", "share", thousandths),
        ),
    ),
    (
        "g",
        "many messages of 1 KiB waiting: memory, and CPU ms a request",
        (
            ("waiting", "filled", number),
            ("filled at messages/s", "fill_rate", number),
            ("memory grew by MB", "grown", tenths),
            ("MB per 100,000", "grown_per_100k", tenths),
            *OPERATIONS,
        ),
    ),
)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [
        "# Results of the wire\n",
        "Medians of interleaved rounds, in brackets lowest to highest. Written by "
        "`python -m benchmarks.wire`; what is not like for like is in [../README.md](../README.md)."
        "\n",
        "Machine: " + ", ".join(f"{key} {value}" for key, value in results.machine.items()) + ".\n",
        *([_targets(results)] if judge(results) else []),
    ]
    for workload, title, columns in TABLES:
        if results.peers(workload):
            run = results.runs[workload]
            parts += [
                f"## ({workload}) {title}\n",
                f"Rounds: {run['rounds']}. The run began at {run['began']}.\n",
                _table(results, workload, columns),
            ]
    parts += _backlog(results)
    parts += _starts(results)
    return "\n".join(parts)


def _table(results: Results, workload: str, columns: Sequence[Column]) -> str:
    rows = []
    for name in results.peers(workload):
        title = BY_NAME[name].title
        if failure := results.failure(workload, name):
            rows.append([title, f"**failed**: {failure}", *[""] * (len(columns) - 1)])
            continue
        found = [(results.find(workload, name, metric), show) for _, metric, show in columns]
        rows.append([title, *(cell(spread, show) for spread, show in found)])
    return grid(["", *(heading for heading, _, _ in columns)], rows)


def _targets(results: Results) -> str:
    rows = [
        [
            f"({verdict.workload}) {verdict.what}",
            verdict.against or "–",
            f"{'≥' if verdict.more else '≤'} {verdict.wanted:g}",
            f"{verdict.found:.3g}",
            "{:.3g}–{:.3g}".format(*verdict.rounds),
            "met" if verdict.met else "**missed**",
        ]
        for verdict in judge(results)
    ]
    head = "## Targets\n\n`taskflow serve` with its default, durability=power.\n\n"
    return head + grid(["what", "against", "target", "found", "single rounds", ""], rows)


def _backlog(results: Results) -> list[str]:
    parts = []
    for sample in results.samples:
        if backlogs := sample.get("backlogs"):
            rows = [
                [f"{int(size):,}", *(f"{ops[metric]:.3f}" for _, metric, _ in OPERATIONS)]
                for size, ops in sorted(backlogs.items(), key=lambda one: int(one[0]))
            ]
            parts.append("## (h) taskflow: CPU ms a request, by how many wait\n")
            parts.append(f"The run began at {results.runs['h']['began']}.\n")
            parts.append(grid(["waiting", *(heading for heading, _, _ in OPERATIONS)], rows))
    return parts


STARTS: Sequence[Column] = (
    ("first answer s", "startup", hundredths),
    ("first message s", "received", hundredths),
    ("first of the FIFO queue s", "received_fifo", hundredths),
    ("CPU s", "cpu", hundredths),
    ("MB", "memory", number),
)


def _starts(results: Results) -> list[str]:
    parts = []
    for sample in results.samples:
        if starts := sample.get("starts"):
            rows = [
                [f"{int(stored):,}", *(show(found[metric]) for _, metric, show in STARTS)]
                for stored, found in sorted(starts.items(), key=lambda one: int(one[0]))
            ]
            parts.append("## (i) taskflow: starting again, by how many are stored\n")
            parts.append(f"The run began at {results.runs['i']['began']}.\n")
            parts.append(grid(["stored", *(heading for heading, _, _ in STARTS)], rows))
    return parts
