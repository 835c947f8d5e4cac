"""Histories put together: what was published, each attempt of each message, each trouble."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Fact = dict[str, Any]
Key = tuple[str, str]
"""(queue, id)"""

FORGOTTEN = 1.0
"""Seconds: of receives and acknowledgements so long before its crash a server may know nothing
(PostgreSQL: `synchronous_commit=off`, three times `wal_writer_delay`, on a busy machine)."""
STARTING = 1.0  # seconds from a look at the clock to the start of a handler, on a busy machine
CRASH = "the server's crash"
"""What is done in the place of a full disk, to a broker that has a server of its own."""
ANSWERS = {"published", "publish-refused"}
SETTLEMENTS = {"acked", "stale", "buried", "given-back"}


@dataclass
class Attempt:
    """One start of a handler. Times in epoch seconds, None for what did not happen; `held` is when
    the broker last granted the lease."""

    who: str
    number: int
    start: float
    held: float
    end: float | None = None
    error: str | None = None
    acked: float | None = None
    given_back: bool = False


@dataclass
class Trouble:
    """Something done to a process, or that it suffered, between two times."""

    cause: str
    since: float
    until: float


@dataclass
class Traces:
    """Everything the checker asks about, from the facts of all processes."""

    kinds: dict[str, Fact] = field(default_factory=dict)
    kind_of: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Message group and place in it, of the messages of FIFO queues."""
    tries: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    accepted: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    attempts: dict[Key, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    buried: set[Key] = field(default_factory=set)
    troubles: dict[str, list[Trouble]] = field(default_factory=lambda: defaultdict(list))
    phases: list[Trouble] = field(default_factory=list)
    crashes: list[Trouble] = field(default_factory=list)
    """Of the broker's own server, from `FORGOTTEN` before each until it came back."""
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    exits: list[tuple[str, int]] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    """The workers that came so far as to obey signals."""

    def cause(self, attempt: Attempt, until: float, lease: float) -> str | None:
        """Why the lease of an attempt may have ended by then, or None when nothing was amiss.

        What counts is what happened to its own process: it was killed, it was stopped, it was
        not scheduled, or its calls to the broker failed or took long (then the phase in which
        they did gives the cause its name).
        """
        early = min(attempt.start, until) - 2 * lease
        for trouble in self.troubles[attempt.who]:
            if trouble.cause in ("killed", "died") and trouble.since >= attempt.start - 0.5:
                return trouble.cause
        for trouble in self.troubles[attempt.who]:
            if trouble.cause in ("killed", "died"):
                continue
            if trouble.until >= early and trouble.since <= max(attempt.start, until):
                return self._named(trouble)
        return None

    def is_forgotten(self, at: float | None) -> bool:
        """Whether what the broker was told then may be gone with its server: delivered again."""
        return at is not None and any(one.since <= at <= one.until for one in self.crashes)

    def delay(self, attempt: Attempt, lease: float) -> str | None:
        """Why a handler may have started after its lease had ended: its process, which could not
        look at the clock again, stood still from before that end until shortly before the start."""
        for trouble in self.troubles[attempt.who]:
            if trouble.cause in ("stopped", "not scheduled") and (
                trouble.since <= attempt.held + lease <= trouble.until
                and attempt.start <= trouble.until + STARTING
            ):
                return trouble.cause
        return None

    def _named(self, trouble: Trouble) -> str:
        if trouble.cause != "broker slow":
            return trouble.cause
        for phase in self.phases:
            if phase.until >= trouble.since and phase.since <= trouble.until:
                return phase.cause
        return trouble.cause


def trace(facts: Iterable[Fact]) -> Traces:
    """Facts of one process come in its order; processes in any order."""
    traces = Traces()
    pending: dict[str, list[str]] = {}
    since: dict[str, float] = {}
    running: dict[tuple[str, str, str, int], Attempt] = {}
    for fact in facts:
        name, at, who = fact["fact"], fact["at"], fact["who"]
        traces.counts[name] += 1
        if name == "kind":
            traces.kinds[fact["name"]] = fact
        elif name == "publishing":
            pending[who] = fact["ids"]
            for id in fact["ids"]:
                traces.kind_of[id] = fact["kind"]
                traces.tries[id] += 1
            for id, number, group in zip(fact["ids"], fact["numbers"], fact["groups"], strict=True):
                if group is not None:
                    traces.places[id] = group, number
        elif name in ANSWERS:
            pending[who] = []
            for id in fact["ids"]:
                if name == "published":
                    traces.accepted.setdefault(id, at)
                else:
                    traces.refused.add(id)
        elif name == "start":
            attempt = Attempt(who, fact["attempt"], at, fact["held"])
            traces.attempts[fact["queue"], fact["id"]].append(attempt)
            traces.ready.add(who)
            running[who, fact["queue"], fact["id"], fact["attempt"]] = attempt
        elif name == "ready":
            traces.ready.add(who)
        elif name in ("end", "failed") or name in SETTLEMENTS:
            key = who, fact["queue"], fact["id"], fact["attempt"]
            if name == "buried":
                traces.buried.add((fact["queue"], fact["id"]))
            _ended(running.get(key), fact)
            if name != "end":  # what this worker settles next under that number is another copy
                running.pop(key, None)
        else:
            _troubled(traces, fact, since)
    traces.unanswered = {id for ids in pending.values() for id in ids}
    for attempts in traces.attempts.values():
        attempts.sort(key=lambda attempt: (attempt.number, attempt.start))
    return traces


def _ended(attempt: Attempt | None, fact: Fact) -> None:
    match attempt, fact["fact"]:
        case None, _:  # received and given back unstarted, or a duplicate that did not run
            pass
        case Attempt(), "end":
            attempt.end = fact["at"]
        case Attempt(), "failed":
            attempt.error = fact["error"]
        case Attempt(), "acked":
            attempt.acked = fact["at"]
        case Attempt(), "given-back":
            attempt.given_back = True


def _troubled(traces: Traces, fact: Fact, since: dict[str, float]) -> None:
    at: float = fact["at"]
    who: str = fact["process"] if "process" in fact else fact["who"]
    mine = traces.troubles[who]
    match fact["fact"]:
        case "killed":
            mine.append(Trouble("killed", at, at))
        case "exited":
            traces.exits.append((who, fact["code"]))
            if fact["code"] != 0:
                mine.append(Trouble("died", at, at))
        case "slow" | "refused":
            mine.append(Trouble("broker slow", fact["since"], at))
        case "stall":
            mine.append(Trouble("not scheduled", fact["since"], at))
        case "begin" if fact["disk"] == CRASH:
            since["crashes"] = at
        case "stop" | "locked" | "disk-full":
            since[who + fact["fact"]] = at
        case "continued":
            began = since.pop(who + "stop", at)
            mine.insert(0, Trouble("stopped", began, at))
            traces.phases.append(Trouble("another stopped", began, at))
        case "unlocked":
            traces.phases.insert(0, Trouble("locked", since.pop(who + "locked"), at))
        case "disk-free":
            full = since.pop(who + "disk-full")
            traces.phases.insert(0, Trouble("disk full", full, at))
            if "crashes" in since:
                traces.crashes.append(Trouble("crash", full - FORGOTTEN, at))
