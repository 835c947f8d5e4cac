"""What a chaos run has left in its broker."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from taskflow import Broker
from taskflow.limits import dlq_of
from taskflow.message import FAILURE, plain_text
from tests.chaos.traces import Key, Traces


@dataclass
class Final:
    """What the broker holds at the end. `letters`: failure records by (queue, id)."""

    held: dict[str, int] = field(default_factory=dict)
    letters: dict[Key, dict[str, Any]] = field(default_factory=dict)
    finished: set[Key] = field(default_factory=set)
    integrity: str = "ok"


def read_final(broker: Broker, traces: Traces, path: str | None) -> Final:
    """Ask the broker, and SQLite for the state of its files: `path`, and its shards."""
    final = Final()
    for queue in sorted({queue for kind in traces.kinds.values() for queue in kind["queues"]}):
        counts = broker.counts(queue)
        final.held[queue] = counts.visible + counts.in_flight + counts.delayed
        for letter in broker.peek(dlq_of(queue), 10_000_000):
            failure = plain_text(letter.attributes.get(FAILURE, "{}"))
            final.letters[queue, letter.id] = json.loads(failure)
        keys = [(id, traces.kinds[kind]["topic"]) for id, kind in traces.kind_of.items()]
        for start in range(0, len(keys), 500):
            known = broker.finished(queue, keys[start : start + 500])
            final.finished |= {(queue, id) for id, _ in known}
    if path is None:  # a server looks after its own
        return final
    leader = Path(path)
    shards = leader.parent.glob(f"{leader.name}.shard*[0-9]")
    found = {text for file in (leader, *shards) for text in _look_into(file)}
    final.integrity = "; ".join(sorted(found))
    return final


def _look_into(file: Path) -> list[str]:
    connection = apsw.Connection(str(file))
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
