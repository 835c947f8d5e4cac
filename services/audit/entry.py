"""One entry of the audit log, and the hash that chains it to the one before."""

import hashlib
from dataclasses import dataclass

GENESIS = bytes(32)
"""What stands for the hash before the first entry."""

_DOMAIN = b"taskflow.audit.v1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it was recorded. Times as RFC 3339 text: what is hashed is what is stored."""

    seq: int
    event_id: str
    topic: str
    source: str
    occurred_at: str
    recorded_at: str
    body: bytes
    prev_hash: bytes
    hash: bytes = b""

    def compute_hash(self) -> bytes:
        """SHA-256 over every field but `hash` itself.

        Each field is preceded by its length, so that no bytes can move from one to the next.
        """
        digest = hashlib.sha256(_DOMAIN)
        for field in (
            str(self.seq).encode(),
            self.event_id.encode(),
            self.topic.encode(),
            self.source.encode(),
            self.occurred_at.encode(),
            self.recorded_at.encode(),
            self.body,
            self.prev_hash,
        ):
            digest.update(len(field).to_bytes(8, "big") + field)
        return digest.digest()
