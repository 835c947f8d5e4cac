"""What processes leave for others beside messages, in SQL: reports, and what a server is called."""

from collections.abc import Mapping

from taskflow.stores.postgres.session import Session


class ProcessRows:
    """Small tables, seldom written."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def identity(self) -> dict[str, str]:
        return dict(self._session.ask("SELECT name, value FROM tf.identity"))

    def put_identity(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._session.change(
                """INSERT INTO tf.identity VALUES ($1, $2)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
                (name, value),
            )

    def put_worker(self, id: str, seen_at: float, report: str) -> None:
        self._session.change(
            """INSERT INTO tf.worker VALUES ($1, $2::float8, $3)
               ON CONFLICT (id) DO UPDATE
               SET seen_at = excluded.seen_at, report = excluded.report""",
            (id, seen_at, report),
        )

    def drop_worker(self, id: str) -> None:
        self._session.change("DELETE FROM tf.worker WHERE id = $1", (id,))

    def workers(self) -> list[tuple[str, float, str]]:
        return self._session.ask("SELECT id, seen_at, report FROM tf.worker ORDER BY id")
