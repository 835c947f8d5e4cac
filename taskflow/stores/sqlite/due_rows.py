"""Finding rows, in SQL: what is due, of which group, and what is in flight.

CROSS JOIN fixes the order of a join (SQLite never reorders one): the few ids of a batch
look up their rows, not the other way round. INDEXED BY names the index where SQLite, which keeps no
statistics here, would rather read a whole queue in order.
"""

import json
from collections.abc import Collection, Sequence

import apsw

from taskflow.stores.row import QueueRow, Row
from taskflow.stores.sqlite.columns import COLUMNS, FRESH, FRESH_LANES, encode
from taskflow.stores.sqlite.removal import Removal

NEVER = float("-inf")


class DueRows:
    """Looks; only what is past its retention does it let go."""

    def __init__(self, connection: apsw.Connection, removal: Removal) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute  # making one costs more than to use it
        self._removal = removal

    def due(
        self, queue: QueueRow, now: float, limit: int, without_lapsed: bool = False
    ) -> list[Row]:
        look = self._due_fresh if without_lapsed else self._due
        if queue.fifo:
            look = self._due_in_fresh_lanes if without_lapsed else self._due_in_lanes
        found = look(queue.id, now, limit, NEVER)
        kept_from = now - queue.settings.retention
        if found and found[0].sent_at <= kept_from:
            # There may be a million more of them: drop some, and look behind the others.
            self._removal.expire(queue.id, kept_from)
            found = look(queue.id, now, limit, kept_from)
        return found

    def _due(self, queue: int, now: float, limit: int, after: float) -> list[Row]:
        """Visible since some time after `after`. (Who was before then was sent before then.)"""
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.visible_at <= ? AND m.visible_at > ?
                    ORDER BY m.visible_at, m.seq LIMIT ?""",
                (queue, now, after, limit),
            )
        ]

    def _due_fresh(self, queue: int, now: float, limit: int, after: float) -> list[Row]:
        """As `_due`, without those whose lease lapsed."""
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.visible_at <= ? AND m.visible_at > ?
                      AND {FRESH}
                    ORDER BY m.visible_at, m.seq LIMIT ?""",
                (queue, now, after, limit),
            )
        ]

    def _due_in_fresh_lanes(self, queue: int, now: float, limit: int, after: float) -> list[Row]:
        """As `_due_in_lanes`, without groups whose first message's lease lapsed."""
        return self._due_in_lanes(queue, now, limit, after, FRESH_LANES)

    def _due_in_lanes(
        self, queue: int, now: float, limit: int, after: float, also: str = ""
    ) -> list[Row]:
        """Of each group whose first message is visible, all up to its first hidden one; without
        those that were stored before `after`."""
        found: list[Row] = []
        first = after * 1e6 - 1  # numbers are microseconds, rounded down
        lanes = self._connection.execute(
            f"""SELECT name FROM lane WHERE queue = ?1 AND ready_at <= ?2
                 AND (?4 < 0 OR EXISTS (SELECT 1 FROM message m INDEXED BY message_lane
                                        WHERE m.queue = ?1 AND m.lane = lane.name AND m.seq > ?4))
                 {also}
               ORDER BY ready_at LIMIT ?3""",
            (queue, now, limit, first),
        )
        for (lane,) in list(lanes):
            if len(found) >= limit:
                break
            for row in self._connection.execute(
                f"""SELECT {COLUMNS} FROM message m INDEXED BY message_lane
                    JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.lane = ? AND m.seq > ? ORDER BY m.seq LIMIT ?""",
                (queue, lane, first, limit - len(found)),
            ):
                if row[6] > now:
                    break
                found.append(Row._make(row))
        return found

    def any_grouped(self, queue: int) -> bool:
        found = self._execute(
            """SELECT 1 FROM message INDEXED BY message_tenant
               WHERE queue = ? AND tenant IS NOT NULL LIMIT 1""",
            (queue,),
        ).get
        return found is not None

    def any_due(self, queue: QueueRow, now: float) -> bool:
        table, column = ("lane", "ready_at") if queue.fifo else ("message", "visible_at")
        found = self._execute(
            f"SELECT 1 FROM {table} WHERE queue = ? AND {column} <= ? LIMIT 1", (queue.id, now)
        ).get
        return found is not None

    def next_due(self, queue: QueueRow, now: float) -> float | None:
        table, column = ("lane", "ready_at") if queue.fifo else ("message", "visible_at")
        found: float | None = self._execute(
            f"SELECT min({column}) FROM {table} WHERE queue = ? AND {column} > ?", (queue.id, now)
        ).get
        return found

    def count_due(self, queue: QueueRow, now: float, most: int) -> int:
        table, column = ("lane", "ready_at") if queue.fifo else ("message", "visible_at")
        found: int = self._execute(
            f"""SELECT count(*) FROM (SELECT 1 FROM {table} WHERE queue = ? AND {column} <= ?
                                      LIMIT ?)""",
            (queue.id, now, most),
        ).get
        return found

    def due_fairly(
        self,
        queue: int,
        now: float,
        limit: int,
        noisy: Sequence[str],
        without_lapsed: bool = False,
    ) -> list[Row]:
        also = f"AND {FRESH}" if without_lapsed else ""
        quiet = self._due_of_others(queue, now, limit, noisy, also)
        for tenant in noisy:
            if len(quiet) >= limit:
                break
            quiet += self._due_of(queue, now, limit - len(quiet), tenant, also)
        return quiet

    def _due_of_others(
        self, queue: int, now: float, limit: int, noisy: Collection[str], also: str
    ) -> list[Row]:
        """The earliest rows of quiet groups. Goes from group to group in the index, so that a
        noisy backlog costs nothing."""
        grouped = self._connection.execute(
            f"""WITH RECURSIVE tenant (name) AS (
                   SELECT min(tenant) FROM message WHERE queue = ?1 AND tenant IS NOT NULL
                   UNION ALL
                   SELECT (SELECT min(m.tenant) FROM message m
                           WHERE m.queue = ?1 AND m.tenant > tenant.name)
                   FROM tenant WHERE name IS NOT NULL)
               SELECT m.visible_at, m.seq FROM tenant CROSS JOIN message m
               WHERE tenant.name IS NOT NULL
                 AND tenant.name NOT IN (SELECT value FROM json_each(?4))
                 AND m.queue = ?1 AND m.tenant = tenant.name AND m.visible_at <= ?2 {also}
                 AND m.seq IN (SELECT n.seq FROM message n
                               WHERE n.queue = ?1 AND n.tenant = tenant.name AND n.visible_at <= ?2
                                 {also.replace("m.", "n.")}
                               ORDER BY n.visible_at, n.seq LIMIT ?3)
               ORDER BY m.visible_at, m.seq LIMIT ?3""",
            (queue, now, limit, encode(list(noisy)).decode()),
        )
        without_group = self._connection.execute(
            f"""SELECT m.visible_at, m.seq FROM message m
               WHERE m.queue = ? AND m.visible_at <= ? AND m.tenant IS NULL {also}
               ORDER BY m.visible_at, m.seq LIMIT ?""",
            (queue, now, limit),
        )
        earliest = sorted([*grouped, *without_group])[:limit]
        return self.by_number(queue, [seq for _, seq in earliest])

    def _due_of(self, queue: int, now: float, limit: int, tenant: str, also: str) -> list[Row]:
        return [
            Row._make(found)
            for found in self._connection.execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.tenant = ? AND m.visible_at <= ? {also}
                    ORDER BY m.visible_at, m.seq LIMIT ?""",
                (queue, tenant, now, limit),
            )
        ]

    def by_number(self, queue: int, seqs: Sequence[int]) -> list[Row]:
        return [
            Row._make(found)
            for found in self._connection.execute(
                f"""SELECT {COLUMNS} FROM json_each(?2) j CROSS JOIN message m
                    ON m.queue = ?1 AND m.seq = j.value JOIN body p ON p.seq = m.seq
                    ORDER BY j.key""",
                (queue, encode(list(seqs)).decode()),
            )
        ]

    def tenants_in_flight(self, queue: int, now: float) -> dict[str, int]:
        return dict(
            self._connection.execute(
                """SELECT tenant, count(*) FROM message
                   WHERE queue = ? AND visible_at > ? AND receipt IS NOT NULL
                     AND tenant IS NOT NULL GROUP BY tenant""",
                (queue, now),
            )
        )

    def count_in_flight(self, queue: int, now: float, most: int) -> int:
        found: int = self._execute(
            """SELECT count(*) FROM (SELECT 1 FROM message WHERE queue = ? AND visible_at > ?
                                     AND receipt IS NOT NULL LIMIT ?)""",
            (queue, now, most),
        ).get
        return found

    def select(self, queue: int, ids: Collection[str], limit: int) -> list[Row]:
        index, chosen = "", ""
        if ids:
            index = "INDEXED BY message_id"
            chosen = "AND m.id IN (SELECT value FROM json_each(?2))"
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m {index} JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ?1 {chosen} ORDER BY m.seq LIMIT ?3""",
                (queue, json.dumps(list(ids)), limit),
            )
        ]
