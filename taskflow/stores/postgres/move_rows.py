"""The store verbs for tasks that move messages out of dead-letter queues, in SQL."""

from taskflow.broker.settings import MoveTask
from taskflow.stores.postgres.session import Session

_MOVE = "handle, source, destination, rate, status, moved, total, started_at, failure"


class MoveRows:
    """What is moved where, and how far it is."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put_move(self, task: MoveTask) -> None:
        self._session.change(
            f"""INSERT INTO tf.move_task ({_MOVE})
                VALUES ($1, $2, $3, $4::int8, $5, $6::int8, $7::int8, $8::float8, $9)
                ON CONFLICT (handle) DO UPDATE
                SET status = excluded.status, moved = excluded.moved, failure = excluded.failure""",
            (
                task.handle,
                task.source,
                task.destination,
                task.rate,
                task.status,
                task.moved,
                task.total,
                task.started_at,
                task.failure,
            ),
        )

    def running(self, handle: str) -> MoveTask | None:
        found = self._session.first(
            f"""SELECT {_MOVE} FROM tf.move_task WHERE handle = $1 AND status = 'RUNNING'
                FOR UPDATE""",
            (handle,),
        )
        return None if found is None else MoveTask(*found)

    def moves(self, source: str | None = None) -> list[MoveTask]:
        found = self._session.ask(
            f"""SELECT {_MOVE} FROM tf.move_task WHERE $1::text IS NULL OR source = $1
                ORDER BY started_at DESC, handle DESC""",
            (source,),
        )
        return [MoveTask(*one) for one in found]
