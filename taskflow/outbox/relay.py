"""The relay: publishes the rows of an outbox, and sets aside what can never be published."""

import logging
from collections.abc import Sequence
from itertools import groupby
from threading import Condition, Thread

from taskflow.broker.traffic import Traffic
from taskflow.errors import BrokerError, BrokerUnavailable, OverLimit, TopicNotFound
from taskflow.outbox.databases import Database
from taskflow.outbox.saved_rows import Outbox, Row
from taskflow.registry import default_registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.telemetry.tracing import sending
from taskflow.text import printable

BATCH = 100
POLL_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
KEEP_SECONDS = 7 * 86400.0
FORGET_EVERY = 3600.0  # seconds
_LATER = (BrokerUnavailable, OverLimit, TopicNotFound)

log = logging.getLogger("taskflow.outbox")


class Relay:
    """Publishes an outbox to a broker, on a thread of its own.

    It works when `wake` is called and otherwise looks every second, since another process may have
    left rows behind. While the broker fails it waits longer and longer, up to 30 s, and says so
    once; no row is ever dropped. A row that the broker refuses for good (too large, a bad name) is
    set aside with the reason, and holds nobody back. Rows of a topic that no queue subscribes to
    wait, since publishing them would lose them; they hold back only rows of the same subject.
    Several relays of one database only repeat each other's work under the same ids. Published
    rows are deleted after `keep` seconds.
    """

    def __init__(self, database: Database, broker: Traffic, *, keep: float = KEEP_SECONDS) -> None:
        self._keep = keep
        self._forgotten_at = float("-inf")
        self.outbox = Outbox(database)
        self._broker = broker = sealed(broker, default_registry.codec)
        self._clock = broker.clock
        self._condition = Condition()
        self._awake = False
        self._stopping = False
        self._failures = 0
        self._unheard: set[str] = set()
        self._thread = Thread(target=self._run, name="taskflow-outbox", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there are new rows. Cheap, from any thread; call it after the commit."""
        with self._condition:
            self._awake = True
            self._condition.notify_all()

    def stop(self) -> None:
        """Publish what can be published now, and end the thread. Idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def publish_pending(self) -> int:
        """Publish what waits; answers how many. Raises BrokerUnavailable, and what the database
        raises."""
        published = 0
        waiting: set[str] = set()  # topics
        held: set[str] = set()  # subjects
        after = 0
        while batch := self.outbox.pending(BATCH, after, waiting):
            after = batch[-1].seq
            # One topic at a time, as far as it goes: a subject's events stay in order.
            for topic, some in groupby(batch, key=lambda row: row.event.topic):
                rows = [row for row in some if row.event.subject not in held]
                sent = [] if topic in waiting else self._publish(topic, rows)
                published += len(sent)
                if len(sent) < len(rows):
                    waiting.add(topic)
                    held |= {row.event.subject for row in rows[len(sent) :] if row.event.subject}
        self._tell(waiting)
        return published

    def _publish(self, topic: str, rows: Sequence[Row]) -> Sequence[Row]:
        """Publish rows of one topic, together if it can be; answers those that are done with, from
        the first on: published, or set aside."""
        if not rows:
            return rows
        now = self._clock.now()
        most = self._broker.max_message_bytes
        try:
            messages = [
                row.event.message(0.0 if row.due_at is None else max(0.0, row.due_at - now), most)
                for row in rows
            ]
            with sending(topic, len(rows), [row.event.traceparent for row in rows]):
                if not self._broker.publish(topic, messages).subscriptions:
                    return []
        except TopicNotFound:
            return []
        except _LATER:
            raise
        except Exception as error:  # of one of them, and only that one is to wait
            if len(rows) > 1:
                done: list[Row] = []
                for row in rows:
                    if not self._publish(topic, [row]):
                        break
                    done.append(row)
                return done
            self._set_aside(rows[0], error)
            return rows
        self.outbox.mark_published(rows, now)
        return rows

    def _set_aside(self, row: Row, error: Exception) -> None:
        reason = printable(f"{type(error).__name__}: {error}")[:2000]
        log.error(
            "event=%s topic=%s is refused for good and set aside: %s",
            row.event.id,
            row.event.topic,
            reason,
        )
        self.outbox.set_aside(row, reason, self._clock.now())

    def _tell(self, waiting: set[str]) -> None:
        for topic in sorted(waiting - self._unheard):
            log.warning(
                "no queue subscribes to %r yet, its events wait in the outbox; start the workers, "
                "or declare their queues (taskflow topology apply)",
                topic,
            )
        self._unheard = waiting

    def _run(self) -> None:
        while True:
            pause = self._try_once()
            with self._condition:
                # A failing broker is not asked more often because rows keep coming.
                if not self._stopping and not (self._awake and not self._failures):
                    self._clock.wait(self._condition, pause)
                self._awake = False
                if self._stopping:
                    break
        self._try_once()

    def _try_once(self) -> float:
        """Publish once; answers how many seconds to wait before the next look. Whatever the broker
        or the database raises, the thread goes on."""
        try:
            self.publish_pending()
            self._forget()
        except Exception as error:
            self._failures += 1
            if self._failures == 1:
                known = isinstance(error, BrokerError)
                log.error(
                    "events wait in the outbox, nothing is lost: %s", error, exc_info=not known
                )
            backoff: float = 0.5 * 2 ** min(self._failures, 10)
            return min(backoff, MAX_BACKOFF_SECONDS)
        if self._failures:
            log.info("the outbox is published again, after %d failures", self._failures)
        self._failures = 0
        return POLL_SECONDS

    def _forget(self) -> None:
        now = self._clock.elapsed()
        if now >= self._forgotten_at + FORGET_EVERY:
            self._forgotten_at = now
            self.outbox.forget_published(self._clock.now() - self._keep)
