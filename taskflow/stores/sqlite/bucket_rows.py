"""The store verbs for token buckets, in SQL."""

import apsw

from taskflow.buckets import tokens_in


class BucketRows:
    """What is left of each, and since when."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def bucket(self, name: str) -> tuple[float, float] | None:
        found: tuple[float, float] | None = self._execute(
            "SELECT tokens, at FROM bucket WHERE name = ?", (name,)
        ).get
        return found

    def draw(self, name: str, per_second: float, tokens: float, now: float) -> float:
        left = tokens_in(self.bucket(name), per_second, now) - tokens
        self._execute("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)", (name, left, now))
        return left
