"""The store verbs for what is not messages: topics, queues, buckets, workers; in SQL."""

from functools import lru_cache
from typing import Any

import apsw

from taskflow.broker import QueueSettings
from taskflow.stores.base import QueueRow

_QUEUE = "id, name, paused, visibility_timeout, delay, retention, dead_letter_queue, max_receives"


class DeclaredRows:
    """The part of `Rows` that is not about messages."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    def topics(self) -> list[str]:
        return [name for (name,) in self._execute("SELECT name FROM topic ORDER BY name")]

    def add_topic(self, name: str) -> None:
        self._execute("INSERT OR IGNORE INTO topic VALUES (?)", (name,))

    def queues(self) -> list[str]:
        return [name for (name,) in self._execute("SELECT name FROM queue ORDER BY name")]

    def queue(self, name: str) -> QueueRow | None:
        found = self._execute(f"SELECT {_QUEUE} FROM queue WHERE name = ?", (name,)).get
        return None if found is None else _queue_row(found)

    def put_queue(self, name: str, settings: QueueSettings) -> None:
        self._execute(
            """INSERT INTO queue (name, visibility_timeout, delay, retention,
                                  dead_letter_queue, max_receives)
               VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (name) DO UPDATE SET
                   visibility_timeout = excluded.visibility_timeout, delay = excluded.delay,
                   retention = excluded.retention, max_receives = excluded.max_receives,
                   dead_letter_queue = excluded.dead_letter_queue""",
            (
                name,
                settings.visibility_timeout,
                settings.delay,
                settings.retention,
                settings.dead_letter_queue,
                settings.max_receives,
            ),
        )

    def pause_queue(self, name: str, paused: bool) -> None:
        self._execute("UPDATE queue SET paused = ? WHERE name = ?", (int(paused), name))

    def bucket(self, name: str) -> tuple[float, float] | None:
        found: tuple[float, float] | None = self._execute(
            "SELECT tokens, at FROM bucket WHERE name = ?", (name,)
        ).get
        return found

    def put_bucket(self, name: str, tokens: float, at: float) -> None:
        self._execute("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)", (name, tokens, at))

    def put_worker(self, id: str, seen_at: float, report: str) -> None:
        self._execute("INSERT OR REPLACE INTO worker VALUES (?, ?, ?)", (id, seen_at, report))

    def drop_worker(self, id: str) -> None:
        self._execute("DELETE FROM worker WHERE id = ?", (id,))

    def workers(self) -> list[tuple[str, float, str]]:
        return list(self._execute("SELECT id, seen_at, report FROM worker ORDER BY id"))

    def subscriptions(self) -> list[tuple[str, str]]:
        return list(
            self._execute(
                """SELECT s.topic, q.name FROM subscription s JOIN queue q ON q.id = s.queue
                   ORDER BY s.topic, q.name"""
            )
        )

    def add_subscription(self, topic: str, queue: int) -> None:
        self._execute("INSERT OR IGNORE INTO subscription VALUES (?, ?)", (topic, queue))

    def subscribed(self, topic: str) -> list[QueueRow]:
        return [
            _queue_row(found)
            for found in self._execute(
                f"""SELECT {_QUEUE} FROM queue
                    WHERE id IN (SELECT queue FROM subscription WHERE topic = ?)""",
                (topic,),
            )
        ]


@lru_cache(1024)  # the same rows are read for every message
def _queue_row(found: tuple[Any, ...]) -> QueueRow:
    return QueueRow(found[0], found[1], bool(found[2]), QueueSettings(*found[3:]))
