"""The store verbs for tasks that move messages out of dead-letter queues, in SQL."""

import apsw

from taskflow.broker.settings import MoveTask

_MOVE = "handle, source, destination, rate, status, moved, total, started_at, failure"


class MoveRows:
    """What is moved where, and how far it is."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def put_move(self, task: MoveTask) -> None:
        self._execute(
            "INSERT OR REPLACE INTO move_task VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        found = self._execute(
            f"SELECT {_MOVE} FROM move_task WHERE handle = ? AND status = 'RUNNING'", (handle,)
        ).get
        return None if found is None else MoveTask(*found)

    def moves(self, source: str | None = None) -> list[MoveTask]:
        return [
            MoveTask(*found)
            for found in self._execute(
                f"""SELECT {_MOVE} FROM move_task WHERE source = ifnull(?, source)
                    ORDER BY started_at DESC, handle DESC""",
                (source,),
            )
        ]
