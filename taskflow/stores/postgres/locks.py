"""Names that are one transaction's until it ends."""

from collections.abc import Collection
from hashlib import blake2b

from taskflow.stores.postgres.session import Session

STRIPES = 1024
"""Locks that names share: a change of a thousand records must find room in the server's table."""


def lock_names(session: Session, names: Collection[str]) -> None:
    """Let nobody else have these until the transaction ends; always in the same order."""
    stripes = sorted({_stripe(name) for name in names})
    session.ask(
        """SELECT pg_advisory_xact_lock(hashtext('tf.'), n)
           FROM (SELECT unnest($1::int4[]) AS n OFFSET 0) x""",
        (stripes,),
    )


def _stripe(name: str) -> int:
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest) % STRIPES
