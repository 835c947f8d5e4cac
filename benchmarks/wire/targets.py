"""The targets, within one run, and whether they were met."""

from collections.abc import Callable
from statistics import median

from benchmarks.results import Results
from benchmarks.targets import Verdict

OURS = "taskflow"
RIVALS = {"moto": 10.0, "ministack": 3.0}
SINGLY = {  # with a disk to wait for, beside a list in memory
    ("ministack", "singly, 1 connection"): 1.4,
    ("ministack", "singly, 8 connections"): 2.5,
    ("ministack", "singly, 64 connections"): 5.0,
}
LATE_MS = 5
GROWTH = 1.3
START = 1.0
CYCLES = {
    "singly, 1 connection": "c1_b1",
    "singly, 8 connections": "c8_b1",
    "singly, 64 connections": "c64_b1",
    "in tens, 1 connection": "c1_b10",
    "in tens, 8 connections": "c8_b10",
}


def judge(results: Results) -> list[Verdict]:
    """Every target that this run can decide."""
    return [
        *_against_rivals(results),
        *_with_many_waiting(results),
        *_wake_ups(results),
        *_growth(results),
        *_starts(results),
    ]


def _against_rivals(results: Results) -> list[Verdict]:
    found = []
    for how, prefix in CYCLES.items():
        metric = f"{prefix}_messages_per_cpu"
        ours = results.by_round("b", OURS, metric)
        for rival, otherwise in RIVALS.items():
            wanted = SINGLY.get((rival, how), otherwise)
            theirs = results.by_round("b", rival, metric)
            what = f"messages per CPU second, {how}"
            found += _verdict("b", what, wanted, ours, theirs, lambda a, b: a / b, rival, True)
    return found


def _with_many_waiting(results: Results) -> list[Verdict]:
    """The same ratios where messages wait: as many as each server took in its time."""
    found = []
    for how, batch in (("singly", 1), ("in tens", 10)):
        cost = {
            name: sum(
                results.by_round("g", name, f"{verb}{batch}_cpu_ms").get(1, 0.0) for verb in VERBS
            )
            for name in results.peers("g")
        }
        for rival, wanted in RIVALS.items():
            if cost.get(OURS) and cost.get(rival):
                what = f"the same with many waiting, {how}"
                ratio = cost[rival] / cost[OURS]
                found.append(Verdict("g", what, wanted, ratio, rival, True, (ratio, ratio)))
    return found


def _wake_ups(results: Results) -> list[Verdict]:
    idle = results.by_round("f", OURS, "idle_p50_ms")
    found = []
    for when in ("quiet", "busy"):
        late = results.by_round("f", OURS, f"{when}_p99_ms")
        what = f"wake-up p99 over an idle server's request, ms, {when}"
        found += _verdict("f", what, LATE_MS, late, idle, lambda a, b: a - b, "", False)
    return found


def _growth(results: Results) -> list[Verdict]:
    found = []
    for sample in results.samples:
        for batch in (1, 10) if "backlogs" in sample else ():
            cost = {
                int(size): sum(ops[f"{verb}{batch}_cpu_ms"] for verb in VERBS)
                for size, ops in sample["backlogs"].items()
            }
            most, least = max(cost), min(cost)
            ratio = cost[most] / cost[least]
            what = f"CPU of send, receive, delete {'singly' if batch == 1 else 'in tens'}, "
            what += f"{most:,} waiting over {least:,}"
            found.append(Verdict("h", what, GROWTH, ratio, "", False, (ratio, ratio)))
    return found


def _starts(results: Results) -> list[Verdict]:
    found = []
    for sample in results.samples:
        if starts := sample.get("starts"):
            stored = max(starts, key=int)
            seconds = starts[stored]
            what = f"seconds from the command to a received message, {int(stored):,} stored"
            spread = (seconds["received_low"], seconds["received_high"])
            found.append(Verdict("i", what, START, seconds["received"], "", False, spread))
    return found


VERBS = ("send", "receive", "delete")


def _verdict(
    workload: str,
    what: str,
    wanted: float,
    ours: dict[int, float],
    theirs: dict[int, float],
    compare: Callable[[float, float], float],
    rival: str,
    more: bool,
) -> list[Verdict]:
    if not ours or not theirs:
        return []
    each = [compare(ours[number], theirs[number]) for number in ours if number in theirs]
    middle = compare(median(ours.values()), median(theirs.values()))
    spread = (min(each, default=middle), max(each, default=middle))
    return [Verdict(workload, what, wanted, middle, rival, more, spread)]
