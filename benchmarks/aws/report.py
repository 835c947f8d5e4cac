"""The results as tables."""

from statistics import median
from typing import Any

TARGET, TIMES, IDLE = 330, 6, 3


def markdown(results: dict[str, Any], titles: dict[str, str]) -> str:
    """The text of results/aws.md."""
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    lines = [
        "# Requests on AWS",
        "",
        f"{results['count']:,} no-op messages, published one by one from 16 threads and handled at "
        f"the same time. Medians of {results['rounds']} rounds, {results['began']}; {machine}.",
        "",
        "| delay | client | requests per 1,000 | lowest to highest | messages/s | published/s "
        "| USD per million | ran twice | idle requests a minute |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    delays = sorted({one["delay"] for one in results["samples"]})
    names = [name for name in titles if any(o["client"] == name for o in results["samples"])]
    for delay in delays:
        for name in names:
            lines.append(_row(results, delay, name, titles[name]))
    lines += ["", "## By action", "", "| delay | client | requests per 1,000 messages |"]
    lines += ["|---:|---|---|"]
    for delay in delays:
        for name in names:
            if found := _of(results, delay, name):
                actions = sorted({action for one in found for action in one["actions"]})
                shown = ", ".join(
                    f"{action} {median(one['actions'].get(action, 0) for one in found):.0f}"
                    for action in actions
                )
                lines.append(f"| {delay} ms | {titles[name]} | {shown} |")
    lines += ["", "## Idle", "", "| client | requests a minute, one empty queue |", "|---|---|"]
    for name, found in results["idle"].items():
        shown = ", ".join(f"{action} {number:g}" for action, number in found["actions"].items())
        lines.append(f"| {titles[name]} | {shown or '0'} |")
    return "\n".join([*lines, "", "## Targets", "", *_judge(results, delays)]) + "\n"


def _of(results: dict[str, Any], delay: int, name: str) -> list[dict[str, Any]]:
    return [
        one
        for one in results["samples"]
        if one["delay"] == delay and one["client"] == name and "failed" not in one
    ]


def _row(results: dict[str, Any], delay: int, name: str, title: str) -> str:
    found = _of(results, delay, name)
    all_ = [one for one in results["samples"] if (one["delay"], one["client"]) == (delay, name)]
    if len(found) < len(all_):
        failed = next(one["failed"] for one in all_ if "failed" in one)
        title += f" (failed {len(all_) - len(found)} times: {failed[:120]})"
    if not found:
        return f"| {delay} ms | {title} | | | | | | | |"
    counts = [one["requests"] for one in found]
    cells = [
        f"{delay} ms",
        title,
        f"{median(counts):,.0f}",
        f"{min(counts):,.0f} to {max(counts):,.0f}",
        f"{median(one['rate'] for one in found):,.0f}",
        f"{median(one['publish_rate'] for one in found):,.0f}",
        f"{median(one['dollars'] for one in found):.3f}",
        str(sum(one["twice"] for one in found)),
        f"{results['idle'][name]['requests']:g}" if name in results["idle"] else "",
    ]
    return f"| {' | '.join(cells)} |"


def _judge(results: dict[str, Any], delays: list[int]) -> list[str]:
    lines = ["| target | delay | found | |", "|---|---:|---:|---|"]

    def judge(target: str, delay: str, found: float, met: bool) -> None:
        lines.append(f"| {target} | {delay} | {found:,.1f} | {'met' if met else '**missed**'} |")

    for delay in delays:
        ours, theirs = _of(results, delay, "taskflow"), _of(results, delay, "celery")
        if not ours:
            continue
        found = median(one["requests"] for one in ours)
        judge(f"at most {TARGET} requests per 1,000", f"{delay} ms", found, found <= TARGET)
        if theirs:
            times = median(one["requests"] for one in theirs) / found
            judge(f"{TIMES} times fewer than Celery", f"{delay} ms", times, times >= TIMES)
    if "taskflow" in results["idle"]:
        quiet = results["idle"]["taskflow"]["requests"]
        judge(f"at most {IDLE} idle requests a minute", "", quiet, quiet <= IDLE)
    return lines
