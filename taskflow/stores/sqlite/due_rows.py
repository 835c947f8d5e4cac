"""Finding rows, in SQL: what is due, of which group, and what is in flight.

CROSS JOIN fixes the order of a join (SQLite never reorders one): the few ids of a batch
look up their rows, not the other way round. INDEXED BY names the index where SQLite, which keeps no
statistics here, would rather read a whole queue in order.
"""

import json
from collections.abc import Collection, Sequence

import apsw

from taskflow.stores.lender import without_old
from taskflow.stores.row import LEVELS, NORMAL, PACED, Kinds, QueueRow, Row
from taskflow.stores.sqlite.columns import (
    AT_LEVEL,
    BESIDE,
    COLUMNS,
    FRESH_LANES,
    PARKED,
    encode,
)
from taskflow.stores.sqlite.removal import Removal

# What has arrived is due as any other, and need not be taken over to see that.
_NEXT_DUE = (
    "SELECT min(next) FROM ({} UNION ALL "
    "SELECT min(visible_at) FROM arrival WHERE queue = ?1 AND visible_at > ?2)"
).format(
    " UNION ALL ".join(
        "SELECT min(visible_at) AS next FROM message "
        f"WHERE queue = ?1 AND {level} AND visible_at > ?2 AND visible_at < {PARKED}"
        for level in AT_LEVEL.values()
    )
)
_ALL_DUE = " UNION ALL ".join(
    [
        *(
            f"SELECT 1 FROM message WHERE queue = ?1 AND {level} AND visible_at <= ?2"
            for level in AT_LEVEL.values()
        ),
        "SELECT 1 FROM arrival WHERE queue = ?1 AND visible_at <= ?2",
    ]
)
_GLANCE = f"""SELECT count(*), EXISTS (SELECT 1 FROM message INDEXED BY message_level
                                       WHERE queue = ?1 AND level IS NOT NULL)
              FROM ({_ALL_DUE} LIMIT 2)"""
_IN_FLIGHT = " UNION ALL ".join(
    f"SELECT tenant FROM message INDEXED BY {index} WHERE queue = ?1 AND {level} "
    f"AND visible_at > ?2 AND visible_at < {PARKED} AND receipt <> {PACED}"
    for level, index in (
        (condition, "message_due" if one is NORMAL else "message_level")
        for one, condition in AT_LEVEL.items()
    )
)
_DUE_LANES = "SELECT 1 FROM lane WHERE queue = ?1 AND ready_at <= ?2"
_ANY_LANE = "SELECT 1 FROM lane WHERE queue = ? AND ready_at <= ? LIMIT 1"
_NEXT_LANE = "SELECT min(ready_at) FROM lane WHERE queue = ? AND ready_at > ?"


class DueRows:
    """Looks; only what is past its retention does it let go."""

    def __init__(self, connection: apsw.Connection, removal: Removal) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute  # making one costs more than to use it
        self._removal = removal

    def due(self, queue: QueueRow, now: float, limit: int) -> list[Row]:
        if queue.fifo:
            return self.due_in_order(queue, now, limit)
        found: list[Row] = []
        for level in LEVELS:
            if len(found) < limit:
                found += self.due_at(level, queue, now, limit - len(found))
        return found

    def due_at(
        self,
        level: int | None,
        queue: QueueRow,
        now: float,
        limit: int,
        without_lapsed: bool = False,
    ) -> list[Row]:
        """The rows of one level of a standard queue, perhaps without suspects."""
        also = f"AND {BESIDE}" if without_lapsed else ""

        def look(after: float) -> list[Row]:
            # Visible since some time after `after`. (Who was before then was sent before then.)
            return [
                Row._make(found)
                for found in self._execute(
                    f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                        WHERE m.queue = ? AND {AT_LEVEL[level]}
                          AND m.visible_at <= ? AND m.visible_at > ? {also}
                        ORDER BY m.visible_at, m.seq LIMIT ?""",
                    (queue.id, now, after, limit),
                )
            ]

        return without_old(queue, now, look, self._removal.expire)

    def due_in_order(
        self, queue: QueueRow, now: float, limit: int, without_lapsed: bool = False
    ) -> list[Row]:
        """The rows of a FIFO queue, perhaps without groups whose first lease lapsed."""
        also = FRESH_LANES if without_lapsed else ""

        def look(after: float) -> list[Row]:
            return self._due_in_lanes(queue.id, now, limit, after, also)

        return without_old(queue, now, look, self._removal.expire)

    def _due_in_lanes(
        self, queue: int, now: float, limit: int, after: float, also: str
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

    def kinds(self, queue: int) -> Kinds:
        found: tuple[int, int] = self._execute(
            """SELECT EXISTS (SELECT 1 FROM message INDEXED BY message_group
                              WHERE queue = ?1 AND tenant IS NOT NULL),
                      EXISTS (SELECT 1 FROM message INDEXED BY message_level
                              WHERE queue = ?1 AND level IS NOT NULL)""",
            (queue,),
        ).get
        return Kinds(bool(found[0]), bool(found[1]))

    def glance(self, queue: QueueRow, now: float) -> int:
        if queue.fifo:
            return 0 if self._execute(_ANY_LANE, (queue.id, now)).get is None else 2
        count, leveled = self._execute(_GLANCE, (queue.id, now)).get
        return 2 if count and leveled else count  # whose turn it is, `lend` knows

    def next_due(self, queue: QueueRow, now: float) -> float | None:
        look = _NEXT_LANE if queue.fifo else _NEXT_DUE
        found: float | None = self._execute(look, (queue.id, now)).get
        return found

    def count_due(self, queue: QueueRow, now: float, most: int) -> int:
        look = _DUE_LANES if queue.fifo else _ALL_DUE
        values = (queue.id, now, most)
        found: int = self._execute(f"SELECT count(*) FROM ({look} LIMIT ?3)", values).get
        return found

    def due_fairly(
        self,
        level: int | None,
        queue: int,
        now: float,
        limit: int,
        noisy: Sequence[str],
        without_lapsed: bool = False,
    ) -> list[Row]:
        """The rows of one level, those of noisy groups after the others."""
        also = f"AND {AT_LEVEL[level]}" + (f" AND {BESIDE}" if without_lapsed else "")
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
                f"""SELECT tenant, count(*) FROM ({_IN_FLIGHT})
                    WHERE tenant IS NOT NULL GROUP BY tenant""",
                (queue, now),
            )
        )

    def count_in_flight(self, queue: int, now: float, most: int) -> int:
        found: int = self._execute(
            f"SELECT count(*) FROM ({_IN_FLIGHT} LIMIT ?3)", (queue, now, most)
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
