"""Remembers which e-mails were sent, and who is sending one."""

from sqlalchemy import Column, Engine, Float, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.database import NAMES, open_database

metadata = MetaData(naming_convention=NAMES)

notifications = Table(
    "notifications",
    metadata,
    # What the e-mail is about, such as `order.created:ord_1`: one e-mail for each.
    Column("key", String(255), primary_key=True),
    Column("claimed_until", Float, nullable=False),
    Column("sent_at", Float),
)


class AlreadySent(Exception):
    """The e-mail was sent."""


class BeingSent(Exception):
    """Another worker is sending it; `until` (epoch seconds) it may be."""

    def __init__(self, until: float) -> None:
        super().__init__("another worker is sending this e-mail")
        self.until = until


class NotificationRepository:
    """Claims and marks e-mails. Thread-safe; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> "NotificationRepository":
        """Connect to a database URL and create what is missing."""
        return cls(open_database(url, metadata))

    def claim(self, key: str, now: float, until: float) -> None:
        """Take the right to send an e-mail, until that time; raises AlreadySent or BeingSent.

        A claim that has run out belongs to a worker that died: it may be taken again.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(notifications).values(key=key, claimed_until=until))
            return
        except IntegrityError:
            pass  # It was claimed before.
        row = notifications.c
        with self._engine.begin() as connection:
            taken = connection.execute(
                update(notifications)
                .where(row.key == key, row.sent_at.is_(None), row.claimed_until <= now)
                .values(claimed_until=until)
            )
            if taken.rowcount == 1:
                return
            found = connection.execute(select(notifications).where(row.key == key)).one()
        if found.sent_at is not None:
            raise AlreadySent(key)
        raise BeingSent(found.claimed_until)

    def mark_sent(self, key: str, now: float) -> None:
        """Note that the e-mail was sent: it never will be again."""
        self._set(key, sent_at=now)

    def release(self, key: str) -> None:
        """Give the claim back after a failure, so that the next attempt need not wait."""
        self._set(key, claimed_until=0.0)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _set(self, key: str, **values: float) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                update(notifications).where(notifications.c.key == key).values(**values)
            )
