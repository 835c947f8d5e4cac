"""Names that are one transaction's until it ends."""

from collections.abc import Collection
from hashlib import blake2b

from taskflow.stores.postgres.session import Session

STRIPES = 1024
"""Locks that names of a kind share: a change of a thousand records must find room in the server's
table."""


def lock_names(session: Session, kind: str, names: Collection[str]) -> None:
    """Let nobody else have these until the transaction ends; those of a kind always in the same
    order. Who takes several kinds takes them in the same order too: no lock of one kind is one of
    another, so that nobody waits for each other."""
    stripes = sorted({_number(name) % STRIPES for name in names})
    session.ask(
        """SELECT pg_advisory_xact_lock(hashtext('tf.' || $1), n)
           FROM (SELECT unnest($2::int4[]) AS n OFFSET 0) x""",
        (kind, stripes),
    )


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=4).digest())
