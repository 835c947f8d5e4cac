"""The message groups of FIFO queues, in SQL: when each may be received from.

The row of a group is its lock: whoever adds to it, lends or settles has it until the transaction
ends.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from taskflow.stores.postgres.session import Session

Group = tuple[int, str]
"""A queue and the name of a group in it."""


class Lanes:
    """The groups that hold something, and when the first row of each is visible."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock_or_make(self, groups: Collection[Group]) -> None:
        """Have these groups until the transaction ends."""
        if groups:
            queues, names = zip(*sorted(groups), strict=True)
            self._session.change(
                """INSERT INTO tf.lane (queue, name, ready_at)
                   SELECT queue, name, 'infinity'
                   FROM unnest($1::int4[], $2::text[]) u (queue, name)
                   ON CONFLICT (queue, name) DO UPDATE SET ready_at = lane.ready_at""",
                (list(queues), list(names)),
            )

    @contextmanager
    def locked(self, queue: int, seqs: Collection[int]) -> Iterator[None]:
        """Have the groups of these rows while something is done with them; a standard queue has
        none. It is one transaction then, and what is noted of them is right at its end."""
        if self._is_standard(queue):
            yield
            return
        with self._session.together():
            names = self.lock(queue, seqs)
            yield
            self.refresh(queue, names)

    def _is_standard(self, queue: int) -> bool:
        known = self._session.declarations.kept.numbers.get(queue)
        return known is not None and not known.fifo

    def lock(self, queue: int, seqs: Collection[int]) -> list[str]:
        """Have the groups of these rows until the transaction ends; answers those that are had. One
        that went while we waited took these rows along; who made it again has it."""
        if self._is_standard(queue):
            return []
        found = self._session.ask(
            "SELECT m.lane FROM tf.message m WHERE m.seq = ANY ($1::int8[])", (sorted(seqs),)
        )
        names = sorted({name for (name,) in found if name is not None})
        if not names:
            return []
        had = self._session.ask(
            """SELECT u.name FROM (SELECT unnest($2::text[]) AS name OFFSET 0) u
               CROSS JOIN LATERAL (SELECT 1 FROM tf.lane x WHERE x.queue = $1::int4
                                   AND x.name = u.name LIMIT 1 FOR UPDATE) l""",
            (queue, names),
        )
        return [name for (name,) in had]

    def refresh(self, queue: int, names: Collection[str]) -> None:
        """Note again when these groups may be received from: when their first row is visible."""
        self.refresh_many([(queue, name) for name in names])

    def refresh_many(self, groups: Collection[Group]) -> None:
        """As `refresh`, of several queues."""
        if not groups:
            return
        queues, names = zip(*sorted(groups), strict=True)
        self._session.change(
            """WITH u AS MATERIALIZED (
                   SELECT v.queue, v.name, m.visible_at
                   FROM unnest($1::int4[], $2::text[]) v (queue, name)
                   LEFT JOIN LATERAL (SELECT x.visible_at FROM tf.message x
                                      WHERE x.queue = v.queue AND x.lane = v.name
                                      ORDER BY x.place LIMIT 1) m ON true),
               gone AS (DELETE FROM tf.lane WHERE ctid = ANY (ARRAY(
                            SELECT l.ctid FROM u CROSS JOIN LATERAL (
                                SELECT x.ctid FROM tf.lane x
                                WHERE x.queue = u.queue AND x.name = u.name LIMIT 1) l
                            WHERE u.visible_at IS NULL)))
               INSERT INTO tf.lane (queue, name, ready_at)
               SELECT queue, name, visible_at FROM u WHERE visible_at IS NOT NULL
               ON CONFLICT (queue, name) DO UPDATE SET ready_at = excluded.ready_at""",
            (list(queues), list(names)),
        )
