"""The store verbs for token buckets, in SQL."""

from taskflow.buckets import capacity
from taskflow.stores.postgres.session import Session

# As `taskflow.buckets.tokens_in`: filled up to now, or new. $2 what it holds, $3 per second,
# $4 taken.
_DRAW = """
INSERT INTO tf.bucket AS b (name, tokens, at) VALUES ($1, $2::float8 - $4::float8, $5::float8)
ON CONFLICT (name) DO UPDATE
SET tokens = least($2::float8, b.tokens + greatest(0, $5::float8 - b.at) * $3::float8) - $4::float8,
    at = excluded.at
RETURNING tokens"""


class BucketRows:
    """Thread-safe as a session is; a bucket is one transaction's from its draw on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def bucket(self, name: str) -> tuple[float, float] | None:
        found: tuple[float, float] | None = self._session.first(
            "SELECT tokens, at FROM tf.bucket WHERE name = $1", (name,)
        )
        return found

    def draw(self, name: str, per_second: float, tokens: float, now: float) -> float:
        values = (name, capacity(per_second), per_second, tokens, now)
        left: float = self._session.write(_DRAW, values)[0][0]
        return left
