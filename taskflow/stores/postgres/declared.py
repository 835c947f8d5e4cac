"""The store verbs for what is declared: topics, queues, subscriptions; in SQL."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from taskflow.broker.settings import Described, QueueSettings, TopicSettings, TopicSubscription
from taskflow.limits import is_fifo
from taskflow.stores.postgres.declarations import Kept
from taskflow.stores.postgres.letters import PostgresLetters
from taskflow.stores.postgres.locks import lock_names
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import QueueRow, Target, TopicRow

_STAMP = "SELECT stamp FROM tf.declared"
_QUEUE = (
    "SELECT d.stamp, q.id, q.name, q.paused, q.settings FROM tf.declared d LEFT JOIN tf.queue q"
)
DROP_ALL = """
WITH p AS (DELETE FROM tf.payload WHERE queue::int8 = $1::int8 RETURNING seq)
DELETE FROM tf.message WHERE seq = ANY (ARRAY(SELECT seq FROM p))"""
"""Removes all messages of a queue."""
_write = msgspec.json.Encoder().encode
_read_queue = lru_cache(4096)(msgspec.json.Decoder(QueueSettings).decode)
_read_topic = msgspec.json.Decoder(TopicSettings).decode
_read_subscription = msgspec.json.Decoder(TopicSubscription).decode


class DeclaredRows:
    """What is declared, kept as long as nobody changes it."""

    def __init__(self, session: Session, letters: PostgresLetters) -> None:
        self._session = session
        self._letters = letters

    def _changed_declarations(self) -> None:
        """Tell everybody that topics, queues or subscriptions changed."""
        self._session.change("UPDATE tf.declared SET stamp = nextval('tf.number')")
        self._session.declare()

    def prove(self) -> None:
        """Ask for the stamp, where no statement has told it."""
        self._session.prove(self.stamp())

    def stamp(self) -> int:
        """That of now."""
        found: int = self._session.first(_STAMP)[0]
        return found

    def renew(self) -> None:
        """Keep only what holds now."""
        declarations = self._session.declarations
        if self.stamp() != declarations.kept.stamp:
            declarations.forget()

    # ---- topics -----------------------------------------------------------------------------
    def topics(self) -> list[str]:
        return [name for (name,) in self._session.ask("SELECT name FROM tf.topic ORDER BY name")]

    def topic(self, name: str) -> TopicRow | None:
        kept = self._session.declarations.kept
        if (known := kept.topics.get(name)) is not None:
            self._session.reads(kept.stamp)
            self._session.unproved = True
            return known
        stamp, found, settings = self._session.first(
            """SELECT d.stamp, t.name, t.settings FROM tf.declared d
               LEFT JOIN tf.topic t ON t.name = $1""",
            (name,),
        )
        self._session.reads(stamp)
        if found is None:
            return None
        row = TopicRow(found, _read_topic(settings))
        self._session.declarations.keep(stamp, lambda kept: kept.topics.update({name: row}))
        return row

    def put_topic(self, name: str, settings: TopicSettings, now: float) -> None:
        self._session.change(
            """INSERT INTO tf.topic (name, settings, created_at, modified_at)
               VALUES ($1, $2, $3::float8, $3::float8) ON CONFLICT (name) DO UPDATE
               SET settings = excluded.settings, modified_at = excluded.modified_at""",
            (name, _text(settings), now),
        )
        self._changed_declarations()

    def drop_topic(self, name: str) -> None:
        self._session.change("DELETE FROM tf.subscription WHERE topic = $1", (name,))
        self._session.change("DELETE FROM tf.tag WHERE resource = $1", (f"topic:{name}",))
        self._forget_duplicates(f"topic:{name}")
        self._session.change("DELETE FROM tf.topic WHERE name = $1", (name,))
        self._changed_declarations()

    def next_sequences(self, topic: str, groups: Sequence[str], least: int) -> list[int]:
        if not groups:
            return []
        # Who numbers messages of a group keeps others from it until its own can be seen.
        lock_names(self._session, f"sequence/{topic}", groups)
        found = self._session.write(
            "SELECT nextval('tf.number') FROM generate_series(1, $1::int8)", (len(groups),)
        )
        return [number for (number,) in found]

    # ---- queues -----------------------------------------------------------------------------
    def queues(self) -> list[str]:
        found = self._session.ask(
            "SELECT name FROM tf.queue WHERE NOT starts_with(name, '~') ORDER BY name"
        )
        return [name for (name,) in found]

    def declared(self, names: Collection[str] | None) -> list[tuple[QueueRow, float]]:
        which = "NOT starts_with(q.name, '~')" if names is None else "q.name = ANY ($1::text[])"
        values = () if names is None else (list(names),)
        found = self._session.ask(
            f"""SELECT d.stamp, q.id, q.name, q.paused, q.settings, q.created_at
                FROM tf.declared d JOIN tf.queue q ON {which} ORDER BY q.name""",
            values,
        )
        for stamp, *_ in found[:1]:
            self._session.reads(stamp)
        return [(_queue_row(row), created_at) for _, *row, created_at in found]

    def queue(self, name: str) -> QueueRow | None:
        kept = self._session.declarations.kept
        if (known := kept.queues.get(name)) is None:
            return self._find_queue("ON q.name = $1", name)
        self._session.reads(kept.stamp)
        return known

    def queue_of(self, id: int) -> QueueRow | None:
        kept = self._session.declarations.kept
        if (known := kept.numbers.get(id)) is None:
            return self._find_queue("ON q.id = $1::int8", id)
        self._session.reads(kept.stamp)
        return known

    def _find_queue(self, condition: str, value: object) -> QueueRow | None:
        stamp, *found = self._session.first(f"{_QUEUE} {condition}", (value,))
        self._session.reads(stamp)
        if found[0] is None:
            return None
        row = _queue_row(found)

        def note(kept: Kept) -> None:
            kept.queues[row.name] = kept.numbers[row.id] = row

        self._session.declarations.keep(stamp, note)
        return row

    def put_queue(self, name: str, settings: QueueSettings, now: float) -> None:
        self._session.change(
            """WITH q AS (
                   INSERT INTO tf.queue (name, settings, created_at, modified_at)
                   VALUES ($1, $2, $3::float8, $3::float8) ON CONFLICT (name) DO UPDATE
                   SET settings = excluded.settings, modified_at = excluded.modified_at
                   RETURNING id)
               INSERT INTO tf.total (queue) SELECT id FROM q ON CONFLICT DO NOTHING""",
            (name, _text(settings), now),
        )
        self._changed_declarations()

    def drop_queue(self, queue: QueueRow) -> None:
        self._session.change(DROP_ALL, (queue.id,))
        for table in ("lane", "attempt", "finished", "total"):
            self._session.change(f"DELETE FROM tf.{table} WHERE queue = $1::int4", (queue.id,))
        self._letters.drop_all(queue.id)
        self._session.change("DELETE FROM tf.tag WHERE resource = $1", (f"queue:{queue.name}",))
        self._session.change("DELETE FROM tf.queue WHERE id = $1::int8", (queue.id,))
        self._changed_declarations()

    def pause_queue(self, name: str, paused: bool) -> None:
        self._session.change("UPDATE tf.queue SET paused = $1 WHERE name = $2", (paused, name))
        self._changed_declarations()

    def purged(self, queue: int, now: float) -> None:
        self._session.change(
            "UPDATE tf.queue SET purged_at = $1::float8 WHERE id = $2::int8", (now, queue)
        )
        self._forget_duplicates(f"queue:{queue}")

    def _forget_duplicates(self, owner: str) -> None:
        """Of the owner, and of each of its groups."""
        self._session.change(
            "DELETE FROM tf.deduplication WHERE scope = $1 OR starts_with(scope, $2)",
            (owner, f"{owner}/"),
        )

    def described(self, kind: str, name: str) -> Described | None:
        purged = "purged_at" if kind == "queue" else "0.0::float8"
        found = self._session.first(
            f"SELECT created_at, modified_at, {purged} FROM tf.{kind} WHERE name = $1", (name,)
        )
        if found is None:
            return None
        tags = self._session.ask(
            "SELECT key, value FROM tf.tag WHERE resource = $1 ORDER BY key", (f"{kind}:{name}",)
        )
        return Described(found[0], found[1], dict(tags), found[2])

    def tag(self, kind: str, name: str, tags: Mapping[str, str | None]) -> None:
        for key, value in tags.items():
            if value is None:
                self._session.change(
                    "DELETE FROM tf.tag WHERE resource = $1 AND key = $2", (f"{kind}:{name}", key)
                )
            else:
                self._session.change(
                    """INSERT INTO tf.tag VALUES ($1, $2, $3)
                       ON CONFLICT (resource, key) DO UPDATE SET value = excluded.value""",
                    (f"{kind}:{name}", key, value),
                )

    # ---- subscriptions ----------------------------------------------------------------------
    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        found = self._session.ask(
            """SELECT record FROM tf.subscription WHERE $1::text IS NULL OR topic = $1
               ORDER BY topic, endpoint, protocol""",
            (topic,),
        )
        return [_read_subscription(record) for (record,) in found]

    def subscription(self, id: str) -> TopicSubscription | None:
        found = self._session.first("SELECT record FROM tf.subscription WHERE id = $1", (id,))
        return None if found is None else _read_subscription(found[0])

    def find_subscription(
        self, topic: str, protocol: str, endpoint: str
    ) -> TopicSubscription | None:
        found = self._session.first(
            """SELECT record FROM tf.subscription
               WHERE topic = $1 AND protocol = $2 AND endpoint = $3""",
            (topic, protocol, endpoint),
        )
        return None if found is None else _read_subscription(found[0])

    def put_subscription(self, subscription: TopicSubscription) -> None:
        place = (subscription.topic, subscription.protocol, subscription.endpoint)
        self._session.change(
            """DELETE FROM tf.subscription
               WHERE id = $4 OR (topic = $1 AND protocol = $2 AND endpoint = $3)""",
            (*place, subscription.id),
        )
        self._session.change(
            "INSERT INTO tf.subscription VALUES ($1, $2, $3, $4, $5, $6, $7)",
            (
                *place,
                subscription.id,
                subscription.queue,
                subscription.pending,
                _text(subscription),
            ),
        )
        self._changed_declarations()

    def drop_subscription(self, id: str) -> None:
        self._session.change("DELETE FROM tf.subscription WHERE id = $1", (id,))
        self._changed_declarations()

    def subscribed(self, topic: str) -> list[Target]:
        kept = self._session.declarations.kept
        if (known := kept.targets.get(topic)) is not None:
            self._session.reads(kept.stamp)
            self._session.unproved = True
            return known
        found = self._session.ask(
            """SELECT d.stamp, s.record, q.id, q.name, q.paused, q.settings,
                      r.id, r.name, r.paused, r.settings
               FROM tf.declared d LEFT JOIN tf.subscription s ON s.topic = $1 AND NOT s.pending
               LEFT JOIN tf.queue q ON q.name = s.queue
               LEFT JOIN tf.queue r ON r.name = s.record::jsonb ->> 'dead_letter_queue'
               ORDER BY s.topic, s.endpoint, s.protocol""",
            (topic,),
        )
        stamp = found[0][0]
        self._session.reads(stamp)
        targets = []
        for _, record, *queues in found:
            if record is None:
                continue
            queue = queues[:4] if queues[0] is not None else queues[4:]
            if queue[0] is not None:
                targets.append(Target(_read_subscription(record), _queue_row(queue)))
        if targets:
            self._session.declarations.keep(
                stamp, lambda kept: kept.targets.update({topic: targets})
            )
        return targets


def _text(record: object) -> str:
    return _write(record).decode()


def _queue_row(found: Sequence[Any]) -> QueueRow:
    id, name, paused, settings = found
    return QueueRow(id, name, paused, _read_queue(settings), is_fifo(name))
