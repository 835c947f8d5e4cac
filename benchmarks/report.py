"""Results as Markdown tables."""

from collections.abc import Callable, Sequence

from benchmarks.catalog import BY_NAME
from benchmarks.results import Results, Spread
from benchmarks.targets import judge

Show = Callable[[float], str]
Column = tuple[str, str, Show]


def number(value: float) -> str:
    return f"{value:,.0f}"


def tenths(value: float) -> str:
    return f"{value:,.1f}"


def hundredths(value: float) -> str:
    return f"{value:.2f}"


def thousandths(value: float) -> str:
    return f"{value:.3f}"


def percent(value: float) -> str:
    return f"{value:.1%}"


DRAIN: Sequence[Column] = (
    ("jobs", "jobs", number),
    ("messages/s", "rate", number),
    ("CPU s per 1,000", "cpu_per_1000", thousandths),
    ("of it the store's", "store_cpu_per_1000", thousandths),
    ("peak memory MB", "peak_mb", number),
    ("start-up s", "startup", hundredths),
    ("lost", "lost", number),
    ("run twice", "run_twice", number),
)
TABLES: Sequence[tuple[str, str, Sequence[Column]]] = (
    ("a", "drain of no-op jobs, one process, concurrency 10", DRAIN),
    (
        "b",
        "enqueue, one process",
        (
            ("one by one/s", "one_rate", number),
            ("CPU s per 1,000", "one_cpu_per_1000", thousandths),
            ("in batches of 1,000/s", "batches_rate", number),
            ("CPU s per 1,000 in batches", "batches_cpu_per_1000", thousandths),
        ),
    ),
    (
        "c",
        "1,000 jobs of 100 ms I/O, ten at once; the ideal is 10 s",
        (
            ("s", "wall", hundredths),
            ("over ideal", "over_ideal", percent),
            ("CPU s", "cpu", tenths),
        ),
    ),
    (
        "d",
        "hand-over to an idle worker in another process",
        (
            ("p50 ms", "p50_ms", hundredths),
            ("p99 ms", "p99_ms", hundredths),
            ("max ms", "max_ms", hundredths),
        ),
    ),
    ("e", "the same drain, two processes", DRAIN),
    (
        "g",
        "a waiting worker: share of a core",
        (("worker", "worker_share", percent), ("store", "store_share", percent)),
    ),
    (
        "h",
        "start-up until the first handler, and memory after it (without the store)",
        (
            ("start-up s", "startup", hundredths),
            ("RSS MB, summed", "rss_mb", tenths),
            ("MB, shared pages once", "pss_mb", tenths),
        ),
    ),
)


TASKS: Sequence[Column] = (
    *DRAIN,
    ("sent one by one/s", "one_rate", number),
    ("CPU s per 1,000 sent", "one_cpu_per_1000", thousandths),
)
TASK_TABLES: Sequence[tuple[str, str, Sequence[Column]]] = (
    ("i", "drain of no-op tasks without results, one process, concurrency 10", TASKS),
    ("j", "the same, every result kept", TASKS),
    (
        "k",
        "send, run in another process, get the result: one at a time",
        (
            ("p50 ms", "p50_ms", hundredths),
            ("p99 ms", "p99_ms", hundredths),
            ("max ms", "max_ms", hundredths),
            ("calls/s", "rate", number),
            ("CPU s per 1,000", "cpu_per_1000", hundredths),
        ),
    ),
    (
        "l",
        "many at once, one process, nobody receives",
        (
            ("tasks", "jobs", number),
            ("sent/s", "many_rate", number),
            ("CPU s per 1,000", "many_cpu_per_1000", thousandths),
            ("sent/s with results", "kept_rate", number),
            ("CPU s per 1,000 with results", "kept_cpu_per_1000", thousandths),
        ),
    ),
    (
        "m",
        "a chord of no-op tasks, until the result of its body",
        (
            ("members", "members", number),
            ("s", "wall", hundredths),
            ("of it until all is sent", "stored_s", hundredths),
            ("members/s", "rate", number),
            ("CPU s per 1,000", "cpu_per_1000", thousandths),
            ("peak memory MB", "peak_mb", number),
            ("run twice", "run_twice", number),
        ),
    ),
    (
        "n",
        "schedules that are due at one moment, four worker processes",
        (
            ("schedules", "schedules", number),
            ("first after ms", "first_ms", number),
            ("half after ms", "p50_ms", number),
            ("last after ms", "last_ms", number),
            ("CPU s", "cpu", hundredths),
            ("put/s", "put_rate", number),
            ("lost", "lost", number),
            ("run twice", "run_twice", number),
        ),
    ),
)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [
        "# Results\n",
        "Medians of interleaved rounds, in brackets lowest to highest. Written by "
        "`python -m benchmarks`; what is not like for like is in [../README.md](../README.md).\n",
        "Machine: " + ", ".join(f"{key} {value}" for key, value in results.machine.items()) + ".\n",
        *([_targets(results)] if judge(results) else []),
    ]
    parts += _tables(results, TABLES)
    parts += _backlog(results)
    parts += _tables(results, TASK_TABLES)
    return "\n".join(parts)


def _tables(results: Results, tables: Sequence[tuple[str, str, Sequence[Column]]]) -> list[str]:
    parts = []
    for workload, title, columns in tables:
        if results.peers(workload):
            parts += [f"## ({workload}) {title}\n", _when(results, workload)]
            parts.append(_table(results, workload, columns))
    return parts


def _when(results: Results, workload: str) -> str:
    run = results.runs[workload]
    return f"Rounds: {run['rounds']}. The run began at {run['began']}.\n"


def _table(results: Results, workload: str, columns: Sequence[Column]) -> str:
    rows = []
    for peer in results.peers(workload):
        title = BY_NAME[peer].title
        if failure := results.failure(workload, peer):
            rows.append([title, f"**failed**: {failure}", *[""] * (len(columns) - 1)])
            continue
        cells = [cell(results.find(workload, peer, metric), show) for _, metric, show in columns]
        rows.append([title, *cells])
    return grid(["", *(heading for heading, _, _ in columns)], rows)


def cell(spread: Spread | None, show: Show) -> str:
    if spread is None:
        return "none"
    middle, low, high = show(spread.median), show(spread.low), show(spread.high)
    return middle if low == high else f"{middle} ({low}–{high})"


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
    head = "## Targets\n\nRatios of medians, taskflow with `durability=process` over the peer.\n\n"
    return head + grid(["what", "against", "target", "found", "single rounds", ""], rows)


def _backlog(results: Results) -> list[str]:
    parts = []
    for sample in results.samples:
        if cost := sample.get("microseconds"):
            rows = [[f"{int(size):,}", f"{cost[size]:.1f}"] for size in sorted(cost, key=int)]
            parts.append("## (f) taskflow: receive and acknowledge, by how many wait\n")
            parts.append(_when(results, "f"))
            parts.append(grid(["waiting", "µs a message"], rows))
    return parts


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
