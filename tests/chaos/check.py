"""Was anything lost, or done twice without need? Answers from histories and the final broker.

It knows no more of taskflow than its users do: what they were promised, and the Broker verbs.
    python -m tests.chaos.check FOLDER ADDRESS
"""

import itertools
import signal
import sys
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from taskflow import open_broker
from tests.chaos.final import Final, read_final
from tests.chaos.history import read
from tests.chaos.traces import CRASH, Attempt, Fact, Key, Traces, trace

EXPECTED_EXITS = {0, 3, 66}  # stopped when asked; the broker would not open; killed by a message
# What handlers that should succeed may fail with: on purpose, or because the machine stood still.
EXPECTED_ERRORS = {"ConnectionError", "HandlerTimeout", "CancelledError"}


@dataclass
class Verdict:
    """`table`: what to print. `violations`: empty when every promise was kept."""

    table: dict[str, Any]
    violations: list[str]


def check(traces: Traces, final: Final) -> Verdict:
    """Every promise against every message."""
    found: list[str] = []
    reruns: Counter[str] = Counter()
    twice: Counter[str] = Counter()
    wanted = [
        (queue, id)
        for id in traces.accepted
        for queue in traces.kinds[traces.kind_of[id]]["queues"]
    ]
    lost = [key for key in wanted if not _accounted(key, traces, final)]
    found += [f"lost: {key} was accepted, and is neither handled nor dead" for key in lost]
    for key in {*traces.attempts, *final.letters, *final.finished}:
        kind = traces.kinds.get(traces.kind_of.get(key[1], ""))
        if kind is None or key[0] not in kind["queues"]:
            found.append(f"from nowhere: {key} was never published to that queue")
            continue
        attempts = traces.attempts.get(key, [])
        found += _check_attempts(key, kind, attempts, traces)
        found += _check_repeats(key, kind, attempts, traces, reruns, twice)
        found += _check_fate(key, kind, attempts, traces, final)
    for id in traces.refused - set(traces.accepted) - traces.unanswered:
        for queue in traces.kinds[traces.kind_of[id]]["queues"]:
            if (queue, id) in final.letters or (queue, id) in traces.attempts:
                found.append(f"refused and stored: {(queue, id)}")
    found += _check_order(traces, final)
    found += _check_end(traces, final)
    return Verdict(_table(traces, final, wanted, lost, reruns, twice), found)


def _accounted(key: Key, traces: Traces, final: Final) -> bool:
    if key in final.letters:
        return True
    ended = any(attempt.end is not None for attempt in traces.attempts.get(key, []))
    return ended and key in final.finished


def _check_attempts(
    key: Key, kind: Fact, attempts: Sequence[Attempt], traces: Traces
) -> Iterable[str]:
    """No more attempts than promised; a publish that was repeated may begin anew."""
    most = kind["retries"] + 1
    lives = traces.tries[key[1]]
    returned = sum(attempt.given_back for attempt in attempts)
    highest = max((attempt.number for attempt in attempts), default=0)
    # Received with others when its worker died: that start is not counted (guarantees.md).
    uncounted = [one for one in attempts if _died(one, attempts, kind, traces)]
    begun = sum(one.end is None for one in uncounted)
    forgotten = [one for one in attempts if _is_forgotten(one, traces)]
    if highest > most or len(attempts) > most * lives + returned + begun + len(forgotten):
        yield f"too many attempts: {key} started {len(attempts)} times, up to number {highest}"
    numbers = Counter(attempt.number for attempt in attempts if not attempt.given_back)
    forgiven = 1 if key[0].endswith(".fifo") else 2  # then it was alone
    for number, times in numbers.items():
        without_end = sum(attempt.number == number for attempt in uncounted)
        again = sum(attempt.number == number for attempt in forgotten)
        if times > lives + min(forgiven, without_end) + again:
            yield f"one attempt twice: {key} number {number} started {times} times"
    for attempt in attempts:
        if kind["fate"] == "handled" and attempt.error not in {None, *EXPECTED_ERRORS}:
            yield f"failed without reason: {key} with {attempt.error}"


def _died(attempt: Attempt, attempts: Sequence[Attempt], kind: Fact, traces: Traces) -> bool:
    """Whether a worker ended before it had said of this attempt how it ended."""
    if attempt.acked is not None or attempt.error is None:
        return attempt.acked is None
    until = max(one.start for one in attempts)
    return traces.cause(attempt, until, kind["visibility"]) in ("died", "killed")


def _is_forgotten(attempt: Attempt, traces: Traces) -> bool:
    """Whether the server may have crashed with what it was told of this attempt's start or end."""
    return traces.is_forgotten(attempt.start) or traces.is_forgotten(attempt.acked)


def _check_repeats(
    key: Key,
    kind: Fact,
    attempts: Sequence[Attempt],
    traces: Traces,
    reruns: Counter[str],
    twice: Counter[str],
) -> Iterable[str]:
    """A handler starts again only when its last attempt was not acknowledged, with a cause; or in
    a worker that held the message first and stood still until its lease was another's."""
    acks = [
        attempt.acked
        for attempt in attempts
        if attempt.acked is not None and not traces.is_forgotten(attempt.acked)
    ]
    for attempt in attempts:
        if acks and attempt.held >= min(acks):
            yield f"after the ack: {key} was started again, as attempt {attempt.number}"
    for before, after in itertools.pairwise(attempts):
        if before.acked is not None and after.held >= before.acked:
            if traces.is_forgotten(before.acked):
                reruns[CRASH] += 1
                twice[CRASH] += after.end is not None
            continue
        if before.given_back or before.error is not None:
            continue
        if before.acked is not None:  # the later start is of a worker that held it before
            cause = traces.delay(after, kind["visibility"])
        else:
            until = max(after.start, before.start)
            cause = traces.cause(before, until, kind["visibility"])
        if cause is None:
            yield f"without a cause: {key} was started again after attempt {before.number}"
        reruns[cause or "no cause"] += 1
        if before.end is not None:
            twice[cause or "no cause"] += any(
                later.end is not None for later in attempts[attempts.index(after) :]
            )


def _check_fate(
    key: Key, kind: Fact, attempts: Sequence[Attempt], traces: Traces, final: Final
) -> Iterable[str]:
    """Toxic messages are dead and never handled; dead letters say why, and have a cause."""
    ended = any(attempt.end is not None for attempt in attempts)
    letter = final.letters.get(key)
    if kind["fate"] == "dead" and (ended or key in final.finished):
        yield f"handled: {key} is toxic ({kind['name']}) and cannot have been"
    if letter is None:
        return
    if not letter.get("reason"):
        yield f"no reason: {key} is a dead letter without one"
    if not 0 < letter.get("attempts", 0) <= kind["retries"] + 1:
        yield f"wrong record: {key} says {letter.get('attempts')} attempts"
    if any(attempt.acked is not None for attempt in attempts):
        yield f"dead after the ack: {key}"
    if key in final.finished and traces.tries[key[1]] == 1:
        yield f"dead and finished: {key}"
    if kind["fate"] == "handled":
        last = attempts[-1] if attempts else None
        until = letter.get("failed_at", 0.0)
        if (
            last is not None
            and last.error is None
            and traces.cause(last, until, kind["visibility"]) is None
        ):
            yield f"dead without a cause: {key}: {letter.get('reason')}"


def _check_order(traces: Traces, final: Final) -> Iterable[str]:
    """In each message group nothing starts before all earlier messages were handled to their end,
    or were dead letters. What was never stored keeps nobody waiting."""
    queues: dict[tuple[str, str], list[tuple[int, Key]]] = defaultdict(list)
    for id, (group, number) in traces.places.items():
        for queue in traces.kinds[traces.kind_of[id]]["queues"]:
            if (queue, id) in traces.attempts or (queue, id) in final.letters:
                queues[queue, group].append((number, (queue, id)))
    for some in queues.values():
        latest, before = 0.0, ("", "")
        for _, key in sorted(some):
            attempts = traces.attempts.get(key, [])
            start = min((attempt.start for attempt in attempts), default=None)
            if start is not None and start < latest:
                yield f"out of order: {key} was started before {before} was done"
            ends = [attempt.end for attempt in attempts if attempt.end is not None]
            if key in final.letters:
                ends.append(final.letters[key].get("failed_at", 0.0))
            done = min(ends, default=float("inf"))
            if done > latest:
                latest, before = done, key


def _check_end(traces: Traces, final: Final) -> Iterable[str]:
    """At rest, stopped when asked, file intact, and nobody was held up by a killer."""
    for queue, count in final.held.items():
        if count:
            yield f"not at rest: {queue} holds {count} messages"
    if final.integrity != "ok":
        yield f"integrity_check: {final.integrity}"
    for who, code in traces.exits:
        unready = code == -signal.SIGTERM and who not in traces.ready
        if code not in EXPECTED_EXITS and not unready:
            yield f"{who} ended with code {code}"
    if traces.counts["would-not-stop"]:
        yield f"{traces.counts['would-not-stop']} processes did not stop when asked"
    if traces.counts["end"] and not traces.counts["acked"]:
        yield "no acknowledgement was ever noted: the histories cannot show what they should"
    published = sorted(traces.accepted.values())
    ends = sorted(one.end for some in traces.attempts.values() for one in some if one.end)
    for key, attempts in traces.attempts.items():
        if traces.kinds.get(traces.kind_of.get(key[1], ""), {}).get("fate") == "dead":
            since, until = attempts[0].start, attempts[-1].start
            if _between(published, since, until) > 5 and not _between(ends, since, until):
                yield f"held up: nothing was handled while {key} was tried {len(attempts)} times"


def _between(times: Sequence[float], since: float, until: float) -> int:
    """How many of these sorted times lie between."""
    return max(0, bisect_left(times, until) - bisect_right(times, since))


def _table(
    traces: Traces,
    final: Final,
    wanted: Sequence[Key],
    lost: Sequence[Key],
    reruns: Mapping[str, int],
    twice: Mapping[str, int],
) -> dict[str, Any]:
    ends = [one.end for some in traces.attempts.values() for one in some if one.end is not None]
    seconds = max(ends, default=0.0) - min(traces.accepted.values(), default=0.0)
    kinds = Counter(traces.kind_of.get(id, "") for _, id in final.letters)
    toxic = {name for name, kind in traces.kinds.items() if kind["fate"] == "dead"}
    return {
        "publishes accepted": len(traces.accepted),
        "unanswered (their publisher was killed)": len(traces.unanswered - set(traces.accepted)),
        "refused (disk full), and given up": len(traces.refused - set(traces.accepted)),
        "calls that the broker refused": traces.counts["publish-refused"]
        + traces.counts["refused"]
        + traces.counts["no-broker"],
        "messages to handle (some have two queues)": len(wanted),
        "handled": len(final.finished),
        "of them in message groups": sum(id in traces.places for _, id in final.finished),
        "dead-lettered, toxic": sum(kinds[name] for name in toxic),
        "dead-lettered, worn out by kills": sum(kinds.values()) - sum(kinds[n] for n in toxic),
        "attempts": sum(map(len, traces.attempts.values())),
        "started again without having failed": _by_cause(reruns),
        "handled to the end twice": _by_cause(twice),
        "kills": traces.counts["killed"],
        "workers killed by a message": sum(code == 66 for _, code in traces.exits),
        "stops (SIGSTOP)": traces.counts["stop"],
        "phases": ", ".join(
            f"{phase.cause} {phase.until - phase.since:.1f} s"
            for phase in traces.phases
            if phase.cause != "another stopped"
        ),
        "integrity_check": final.integrity,
        "lost": len(lost),
        "seconds": round(seconds, 1),
        "handled per second": round(len(ends) / seconds) if seconds > 0 else 0,
    }


def _by_cause(causes: Mapping[str, int]) -> str:
    named = [f"{name} {times}" for name, times in sorted(causes.items()) if times]
    return f"{sum(causes.values())}" + (f" ({', '.join(named)})" if named else "")


def check_run(histories: Path, address: str) -> Verdict:
    """Check a run by its folder of histories and its broker."""
    traces = trace(read(histories))
    broker = open_broker(address)
    try:
        parts = urlsplit(address)
        path = parts.path[1:] if parts.scheme == "sqlite" else None
        return check(traces, read_final(broker, traces, path))
    finally:
        broker.close()


def show(verdict: Verdict) -> str:
    width = max(map(len, verdict.table))
    lines = [f"{name:<{width}}  {value}" for name, value in verdict.table.items()]
    lines += [f"VIOLATION  {text}" for text in verdict.violations[:50]]
    lines.append(f"{'violations':<{width}}  {len(verdict.violations)}")
    return "\n".join(lines)


if __name__ == "__main__":
    result = check_run(Path(sys.argv[1]), sys.argv[2])
    print(show(result))
    sys.exit(bool(result.violations))
