"""The store verbs for message groups, in SQL: FIFO order, deduplication, fairness."""

from collections.abc import Collection, Sequence

import apsw
import msgspec

from taskflow.limits import is_fifo
from taskflow.stores.base import Row

COLUMNS = """m.seq, m.id, m.topic, m.receive_count, m.first_received_at, m.sent_at,
             m.visible_at, m.source, p.body, p.attributes, p.extra, m.receipt"""
FRESH = "(m.receipt IS NULL OR m.receipt & 2)"
"""Of rows whose last lease did not lapse (`base.SPOKEN`)."""
FRESH_LANES = f"""AND (SELECT {FRESH} FROM message m INDEXED BY message_lane
                       WHERE m.queue = ?1 AND m.lane = lane.name ORDER BY m.seq LIMIT 1)"""
encode = msgspec.json.Encoder(enc_hook=str).encode  # subclasses of str, such as EventId


class FifoRows:
    """The part of `Rows` that knows message groups."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._kinds: dict[int, bool] = {}

    def _is_fifo(self, queue: int) -> bool:
        known = self._kinds.get(queue)
        if known is None:  # a queue never changes its kind, and no number is used twice
            name = self._connection.execute("SELECT name FROM queue WHERE id = ?", (queue,)).get
            known = self._kinds[queue] = is_fifo(name or "")
        return known

    def _lanes_of(self, queue: int, seqs: Collection[int]) -> list[str]:
        """The groups of these rows, if the queue is FIFO; ask before they are changed."""
        if not self._is_fifo(queue):
            return []
        lanes = self._connection.execute(
            """SELECT DISTINCT m.lane FROM json_each(?2) j
               CROSS JOIN message m ON m.queue = ?1 AND m.seq = j.value WHERE m.lane IS NOT NULL""",
            (queue, encode(list(seqs)).decode()),
        )
        return [lane for (lane,) in lanes]

    def _refresh(self, queue: int, lanes: Collection[str]) -> None:
        """Note again when these groups may be received from: when their first row is visible."""
        for lane in lanes:
            ready_at = self._connection.execute(
                """SELECT visible_at FROM message INDEXED BY message_lane
                   WHERE queue = ? AND lane = ? ORDER BY seq LIMIT 1""",
                (queue, lane),
            ).get
            if ready_at is None:
                self._connection.execute(
                    "DELETE FROM lane WHERE queue = ? AND name = ?", (queue, lane)
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", (queue, lane, ready_at)
                )

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
        return self._by_number(queue, [seq for _, seq in earliest])

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

    def _by_number(self, queue: int, seqs: Sequence[int]) -> list[Row]:
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

    def deduplicated(
        self, scope: str, keys: Sequence[str], now: float
    ) -> dict[str, tuple[str, int]]:
        return {
            key: (id, seq)
            for key, id, seq in self._connection.execute(
                """SELECT d.key, d.id, d.seq FROM json_each(?2) j CROSS JOIN deduplication d
                   ON d.scope = ?1 AND d.key = j.value WHERE d.expires_at > ?3""",
                (scope, encode(keys).decode(), now),
            )
        }

    def deduplicate(
        self, scope: str, entries: Sequence[tuple[str, str, int]], expires_at: float, now: float
    ) -> None:
        self._connection.execute(
            """DELETE FROM deduplication WHERE (scope, key) IN (
                   SELECT scope, key FROM deduplication WHERE expires_at <= ?
                   ORDER BY expires_at LIMIT ?)""",
            (now, 2 * len(entries)),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)",
            [(scope, key, id, seq, expires_at) for key, id, seq in entries],
        )

    def attempted(self, queue: int, attempt: str, now: float) -> tuple[int, list[Row]] | None:
        found = self._connection.execute(
            """SELECT receipt, seqs, until FROM attempt
               WHERE queue = ? AND id = ? AND expires_at > ?""",
            (queue, attempt, now),
        ).get
        if found is None:
            return None
        receipt, text, until = found
        if until <= now:
            return None
        seqs = msgspec.json.decode(text, type=list[int])
        intact = self._connection.execute(
            """SELECT count(*) FROM message WHERE queue = ?1 AND receipt = ?2 AND visible_at = ?3
               AND seq IN (SELECT value FROM json_each(?4))""",
            (queue, receipt, until, text),
        ).get
        return (receipt, self._by_number(queue, seqs)) if intact == len(seqs) else None

    def extend(self, queue: int, seqs: Sequence[int], until: float) -> None:
        self._connection.execute(
            """UPDATE message SET visible_at = ?
               WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))""",
            (until, queue, encode(list(seqs)).decode()),
        )
        self._refresh(queue, self._lanes_of(queue, seqs))

    def remember_attempt(
        self,
        queue: int,
        attempt: str,
        receipt: int,
        seqs: Sequence[int],
        until: float,
        expires_at: float,
        now: float,
    ) -> None:
        self._connection.execute("DELETE FROM attempt WHERE expires_at <= ?", (now,))
        self._connection.execute(
            "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?)",
            (queue, attempt, receipt, encode(list(seqs)).decode(), until, expires_at),
        )
