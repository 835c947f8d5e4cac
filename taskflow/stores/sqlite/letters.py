"""Dead letters by cause, in SQL: noted as they come; the triggers of letters.sql see them go."""

from collections.abc import Collection

import apsw

from taskflow.stores.letters import HOUR, TREND_KEPT
from taskflow.stores.row import CauseEnds, CauseRow
from taskflow.stores.sqlite.columns import encode
from taskflow.wire.failure_cause import read_cause

_FIELDS = "id, queue, name, source, handler, error, place, reason, count"


class SqliteLetters:
    """`Letters` over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def note(
        self,
        queue: int,
        seq: int,
        source: int,
        attributes: str,
        died_at: float,
        receives: int,
    ) -> None:
        """A row of this number is a letter, which died of what its attributes say."""
        found = read_cause(attributes)
        origin: str = self._execute("SELECT name FROM queue WHERE id = ?", (source,)).get or ""
        name = found.name(origin)
        self._execute(
            """INSERT INTO cause (queue, name, source, handler, error, place, reason)
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
            (queue, name, origin, found.handler, found.error, found.place, found.reason),
        )
        cause: int = self._execute(
            "SELECT id FROM cause WHERE queue = ? AND name = ?", (queue, name)
        ).get
        attempts = receives if found.attempts is None else found.attempts
        self._execute(
            "INSERT INTO letter VALUES (?, ?, ?, ?, ?)", (seq, queue, cause, died_at, attempts)
        )
        self._execute(
            """INSERT INTO cause_hour VALUES (?, ?, 1)
               ON CONFLICT (hour, cause) DO UPDATE SET count = count + 1""",
            (int(died_at // HOUR), cause),
        )

    def uncount(self, seqs: Collection[int]) -> None:
        """These letters go to another file: they did not die here."""
        self._execute(
            f"""UPDATE cause_hour AS h SET count = h.count - gone.count
                FROM (SELECT CAST(died_at / {HOUR} AS INTEGER) AS hour, cause, count(*) AS count
                      FROM letter WHERE seq IN (SELECT value FROM json_each(?))
                      GROUP BY 1, 2) AS gone
                WHERE h.hour = gone.hour AND h.cause = gone.cause""",
            (encode(sorted(seqs)).decode(),),
        )

    def drop_all(self, queue: int) -> None:
        """Forget the causes of a queue, whose letters are gone."""
        self._execute(
            "DELETE FROM cause_hour WHERE cause IN (SELECT id FROM cause WHERE queue = ?)", (queue,)
        )
        self._execute("DELETE FROM cause WHERE queue = ?", (queue,))

    def causes(self, queues: Collection[int] | None) -> list[CauseRow]:
        which, values = "", ()
        if queues is not None:
            which = "AND queue IN (SELECT value FROM json_each(?))"
            values = (encode(list(queues)).decode(),)  # type: ignore[assignment]
        return [
            CauseRow._make(found)
            for found in self._execute(
                f"SELECT {_FIELDS} FROM cause WHERE count > 0 {which} ORDER BY count DESC, id",
                values,
            )
        ]

    def ends(self, cause: int, from_hour: int) -> CauseEnds | None:
        first, last = (
            self._execute(
                f"""SELECT l.died_at, m.id FROM letter l INDEXED BY letter_cause
                    CROSS JOIN message m ON m.queue = l.queue AND m.seq = l.seq
                    WHERE l.cause = ? ORDER BY l.seq {order} LIMIT 1""",
                (cause,),
            ).get
            for order in ("", "DESC")
        )
        if first is None or last is None:
            return None
        trend = dict(
            self._execute(
                "SELECT hour, count FROM cause_hour WHERE hour >= ? AND cause = ?",
                (from_hour, cause),
            )
        )
        return CauseEnds(first[0], last[0], last[1], trend)

    def forget(self, now: float) -> None:
        self._execute("DELETE FROM cause_hour WHERE hour < ?", (int(now // HOUR) - TREND_KEPT,))
        self._execute(
            """DELETE FROM cause WHERE count = 0
               AND NOT EXISTS (SELECT 1 FROM cause_hour h WHERE h.cause = cause.id)"""
        )


def note_all(connection: apsw.Connection) -> None:
    """Note what lies in a file of a version that did not count letters by cause."""
    letters = SqliteLetters(connection)
    found = connection.cursor().execute(
        """SELECT m.queue, m.seq, m.source, p.attributes, m.receive_count
           FROM message m JOIN body p ON p.seq = m.seq WHERE m.source IS NOT NULL"""
    )
    for queue, seq, source, attributes, receives in found:
        letters.note(queue, seq, source, attributes, seq / 1e6, receives)
