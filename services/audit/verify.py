"""Finds out whether an audit log was touched: edits, gaps, reordering, a cut tail, a rewrite."""

from dataclasses import dataclass

from services.audit.entry import GENESIS, Entry
from services.audit.repository import AuditLog


@dataclass(frozen=True, slots=True)
class Break:
    """The first thing wrong with a log: at which entry, of which kind, and a sentence."""

    seq: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found: how many good entries, the last good hash, the first break."""

    entries: int
    checkpoints: int
    head: bytes
    broken: Break | None = None


def verify(log: AuditLog) -> Report:
    """Read the whole log and its checkpoints. Raises LogUnreadable."""
    # Checkpoints first: entries that are added meanwhile do no harm.
    known = {each.seq: each.hash for each in log.checkpoints()}
    good, head = 0, GENESIS
    for entry in log.entries():
        broken = _check_entry(log, entry, good + 1, head)
        if broken is None and known.get(entry.seq, entry.hash) != entry.hash:
            broken = Break(
                entry.seq,
                "rewritten",
                f"the chain holds, but a checkpoint has another hash for entry {entry.seq}",
            )
        if broken is not None:
            return Report(good, len(known), head, broken)
        good, head = entry.seq, entry.hash
    if known and max(known) > good:
        cut = f"the log ends at entry {good}, but a checkpoint has seen entry {max(known)}"
        return Report(good, len(known), head, Break(good + 1, "truncation", cut))
    return Report(good, len(known), head)


def _check_entry(log: AuditLog, entry: Entry, expected: int, head: bytes) -> Break | None:
    if entry.seq != expected:
        return Break(expected, "gap", f"entry {expected} is missing; {entry.seq} comes next")
    whole = entry.compute_hash() == entry.hash
    if entry.prev_hash == head:
        if whole:
            return None
        return Break(entry.seq, "edit", f"the hash of entry {entry.seq} does not fit its content")
    if entry.prev_hash == GENESIS or log.holds_hash(entry.prev_hash):
        return Break(entry.seq, "reordering", f"entry {entry.seq} was made to follow another entry")
    if whole and expected > 1:
        # This one is untouched, so the one before it was replaced, hash and all.
        return Break(
            expected - 1,
            "edit",
            f"entry {expected} was made to follow another entry {expected - 1}",
        )
    return Break(entry.seq, "edit", f"the link of entry {entry.seq} to its predecessor is broken")
