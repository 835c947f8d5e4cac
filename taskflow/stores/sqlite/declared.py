"""The store verbs for what is declared: topics, queues, subscriptions; in SQL."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import apsw
import msgspec

from taskflow.broker.settings import Described, QueueSettings, TopicSettings, TopicSubscription
from taskflow.limits import is_fifo
from taskflow.stores.row import QueueRow, Target, TopicRow
from taskflow.stores.sqlite.letters import SqliteLetters

_QUEUE = "q.id, q.name, q.paused, q.settings"
_STAMP_AND_LAST = "SELECT stamp, (SELECT max(seq) FROM body) FROM topology"
_write = msgspec.json.Encoder().encode
_read_queue = lru_cache(4096)(msgspec.json.Decoder(QueueSettings).decode)
_read_topic = msgspec.json.Decoder(TopicSettings).decode
_read_subscription = msgspec.json.Decoder(TopicSubscription).decode


class DeclaredRows:
    """What is declared, kept as long as nobody changes it."""

    def __init__(self, connection: apsw.Connection, letters: SqliteLetters) -> None:
        self._connection = connection
        self._alone = connection.db_filename("main") == ""  # in memory: nobody else has it
        self._letters = letters
        self._execute = connection.execute
        # One cursor for what is asked all the time: making one costs more than to use it.
        self._ask = connection.cursor().execute
        self._last_body: int | None = None
        self._knows_last = False
        self._stamp: int | None = None
        self._sure = False  # whether nobody can have changed the stamp since it was read
        self._queues: dict[str, QueueRow] = {}
        self._targets: dict[str, list[Target]] = {}

    def renew_stamp(self) -> None:
        """Tell everybody that topics, queues or subscriptions changed. Random, so that a number
        of a transaction that was undone does not come again."""
        self._execute("UPDATE topology SET stamp = random()")
        self._sure = False

    def begun(self) -> None:
        """A transaction begins: what others did meanwhile is seen from now on."""
        self._knows_last = False
        self._sure = self._sure and self._alone

    def undone(self) -> None:
        """What was changed here is as it was before."""
        self._sure = False

    def _look_for_changes(self) -> None:
        """Forget what is kept of queues and subscriptions if somebody has changed any. Nobody does
        while this connection is in a transaction, which has the lock of all who write."""
        if not self._sure or not self._keeps_others_out():
            self._compare(self._ask("SELECT stamp FROM topology").get)
            self._sure = self._keeps_others_out()

    def _keeps_others_out(self) -> bool:
        return self._alone or self._connection.in_transaction

    def _compare(self, stamp: int) -> None:
        if stamp != self._stamp:
            self._stamp = stamp
            self._queues.clear()
            self._targets.clear()

    def stamp(self) -> int | None:
        """The stamp of what is declared now."""
        self._look_for_changes()
        return self._stamp

    def known_stamp(self) -> int | None:
        """The stamp under which all is kept; it may be another by now."""
        return self._stamp

    def stamp_of(self, queue: QueueRow) -> int | None:
        """The stamp under which a queue's row was read; None when it is known not to hold."""
        return self._stamp if self._queues.get(queue.name) is queue else None

    def last_body(self) -> int | None:
        """The highest number of a body; as `subscribed` saw it in this transaction, once."""
        if self._knows_last:
            self._knows_last = False
            return self._last_body
        found: int | None = self._ask("SELECT max(seq) FROM body").get
        return found

    # ---- topics -----------------------------------------------------------------------------
    def topics(self) -> list[str]:
        return [name for (name,) in self._execute("SELECT name FROM topic ORDER BY name")]

    def topic(self, name: str) -> TopicRow | None:
        found = self._execute("SELECT name, settings FROM topic WHERE name = ?", (name,)).get
        return None if found is None else TopicRow(found[0], _read_topic(found[1]))

    def put_topic(self, name: str, settings: TopicSettings, now: float) -> None:
        self._execute(
            """INSERT INTO topic (name, settings, created_at, modified_at) VALUES (?1, ?2, ?3, ?3)
               ON CONFLICT (name) DO UPDATE
               SET settings = excluded.settings, modified_at = excluded.modified_at""",
            (name, _text(settings), now),
        )
        self.renew_stamp()

    def drop_topic(self, name: str) -> None:
        self._execute("DELETE FROM subscription WHERE topic = ?", (name,))
        self._execute("DELETE FROM tag WHERE resource = ?", (f"topic:{name}",))
        self._forget_duplicates(f"topic:{name}")
        self._execute("DELETE FROM topic WHERE name = ?", (name,))
        self.renew_stamp()

    def next_sequences(self, topic: str, groups: Sequence[str], least: int) -> list[int]:
        if not groups:
            return []
        last: int = self._execute(
            """UPDATE topic SET sequence = max(sequence + 1, ?1) + ?2 - 1 WHERE name = ?3
               RETURNING sequence""",
            (least, len(groups), topic),
        ).get
        return list(range(last - len(groups) + 1, last + 1))

    # ---- queues -----------------------------------------------------------------------------
    def queues(self) -> list[str]:
        return [
            name
            for (name,) in self._execute(
                "SELECT name FROM queue WHERE name NOT LIKE '~%' ORDER BY name"
            )
        ]

    def declared(self, names: Collection[str] | None) -> list[tuple[QueueRow, float]]:
        which = "q.name IN (SELECT value FROM json_each(?1))"
        if names is None:
            which = "?1 IS NULL AND q.name NOT LIKE '~%'"
        found = self._execute(
            f"SELECT {_QUEUE}, q.created_at FROM queue q WHERE {which} ORDER BY q.name",
            (None if names is None else _text(list(names)),),
        )
        return [(_queue_row(row), created_at) for *row, created_at in found]

    def queue(self, name: str) -> QueueRow | None:
        if not self._sure or not self._alone:
            self._look_for_changes()
        if (kept := self._queues.get(name)) is not None:
            return kept
        found = self._execute(f"SELECT {_QUEUE} FROM queue q WHERE q.name = ?", (name,)).get
        if found is None:
            return None
        row = self._queues[name] = _queue_row(found)
        return row

    def queue_of(self, id: int) -> QueueRow | None:
        found = self._execute(f"SELECT {_QUEUE} FROM queue q WHERE q.id = ?", (id,)).get
        return None if found is None else _queue_row(found)

    def put_queue(self, name: str, settings: QueueSettings, now: float) -> None:
        self._execute(
            """INSERT INTO queue (name, settings, created_at, modified_at) VALUES (?1, ?2, ?3, ?3)
               ON CONFLICT (name) DO UPDATE
               SET settings = excluded.settings, modified_at = excluded.modified_at""",
            (name, _text(settings), now),
        )
        self.renew_stamp()

    def drop_queue(self, queue: QueueRow) -> None:
        id = (queue.id,)
        self._execute(
            """DELETE FROM body WHERE seq IN (SELECT seq FROM message WHERE queue = ?)
               AND NOT EXISTS (SELECT 1 FROM shared s WHERE s.seq = body.seq)""",
            id,
        )
        for table in ("message", "lane", "attempt", "finished"):
            self._execute(f"DELETE FROM {table} WHERE queue = ?", id)
        self._letters.drop_all(queue.id)
        self._execute("DELETE FROM tag WHERE resource = ?", (f"queue:{queue.name}",))
        self._execute("DELETE FROM queue WHERE id = ?", id)
        self.renew_stamp()

    def pause_queue(self, name: str, paused: bool) -> None:
        self._execute("UPDATE queue SET paused = ? WHERE name = ?", (int(paused), name))
        self.renew_stamp()

    def purged(self, queue: int, now: float) -> None:
        self._execute("UPDATE queue SET purged_at = ? WHERE id = ?", (now, queue))
        self._forget_duplicates(f"queue:{queue}")

    def _forget_duplicates(self, owner: str) -> None:
        """Of the owner, and of each of its groups."""
        self._execute(
            "DELETE FROM deduplication WHERE scope = ?1 OR scope GLOB ?1 || '/*'", (owner,)
        )

    def described(self, kind: str, name: str) -> Described | None:
        purged = "purged_at" if kind == "queue" else "0.0"
        found = self._execute(
            f"SELECT created_at, modified_at, {purged} FROM {kind} WHERE name = ?", (name,)
        ).get
        if found is None:
            return None
        tags = self._execute(
            "SELECT key, value FROM tag WHERE resource = ? ORDER BY key", (f"{kind}:{name}",)
        )
        return Described(found[0], found[1], dict(tags), found[2])

    def tag(self, kind: str, name: str, tags: Mapping[str, str | None]) -> None:
        for key, value in tags.items():
            if value is None:
                self._execute(
                    "DELETE FROM tag WHERE resource = ? AND key = ?", (f"{kind}:{name}", key)
                )
            else:
                self._execute(
                    "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)", (f"{kind}:{name}", key, value)
                )

    # ---- subscriptions ----------------------------------------------------------------------
    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        return [
            _read_subscription(record)
            for (record,) in self._execute(
                """SELECT record FROM subscription WHERE topic = ifnull(?, topic)
                   ORDER BY topic, endpoint, protocol""",
                (topic,),
            )
        ]

    def subscription(self, id: str) -> TopicSubscription | None:
        found = self._execute("SELECT record FROM subscription WHERE id = ?", (id,)).get
        return None if found is None else _read_subscription(found)

    def find_subscription(
        self, topic: str, protocol: str, endpoint: str
    ) -> TopicSubscription | None:
        found = self._execute(
            "SELECT record FROM subscription WHERE topic = ? AND protocol = ? AND endpoint = ?",
            (topic, protocol, endpoint),
        ).get
        return None if found is None else _read_subscription(found)

    def put_subscription(self, subscription: TopicSubscription) -> None:
        self._execute(
            "INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                subscription.topic,
                subscription.protocol,
                subscription.endpoint,
                subscription.id,
                subscription.queue,
                int(subscription.pending),
                _text(subscription),
            ),
        )
        self.renew_stamp()

    def drop_subscription(self, id: str) -> None:
        self._execute("DELETE FROM subscription WHERE id = ?", (id,))
        self.renew_stamp()

    def subscribed(self, topic: str) -> list[Target]:
        # Who asks is about to add a message: what its number is comes with the same statement.
        stamp, self._last_body = self._ask(_STAMP_AND_LAST).get
        self._knows_last = True
        self._compare(stamp)
        if (kept := self._targets.get(topic)) is not None:
            return kept
        found = []
        for subscription in self.subscriptions(topic):
            queue = self.queue(subscription.queue)
            if queue is None and subscription.dead_letter_queue is not None:
                queue = self.queue(subscription.dead_letter_queue)
            if queue is not None and not subscription.pending:
                found.append(Target(subscription, queue))
        if found:
            self._targets[topic] = found
        return found


def _text(record: object) -> str:
    return _write(record).decode()


def _queue_row(found: Sequence[Any]) -> QueueRow:
    return QueueRow(found[0], found[1], bool(found[2]), _read_queue(found[3]), is_fifo(found[1]))
