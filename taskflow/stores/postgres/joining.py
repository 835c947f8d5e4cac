"""Storing within a transaction of the application's own."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from taskflow.errors import BrokerUnavailable, ConfigError
from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.foreign import Foreign, find_foreign, in_driver_words
from taskflow.stores.postgres.foreign_session import ForeignSession
from taskflow.stores.postgres.session import Stale
from taskflow.stores.postgres.texts import Texts
from taskflow.stores.rows import Rows
from taskflow.uninterrupted import uninterrupted

if TYPE_CHECKING:
    from taskflow.stores.postgres.rows import PostgresRows

T = TypeVar("T")

TRIES = 6
IDENTITY = """
SELECT system_identifier, oid FROM pg_catalog.pg_control_system(), pg_catalog.pg_database
WHERE datname = current_database()"""
"""Which database of which server it is, whatever way led there."""


class _ForeignTexts(Texts):
    """As a driver of anybody's takes them."""

    def __missing__(self, text: str) -> str:
        made = self[text] = in_driver_words(super().__missing__(text))
        return made


class Joining:
    """Thread-safe, as long as no two threads use one foreign connection at once. It begins and ends
    nothing, sets nothing, and does nothing twice that changed something."""

    def __init__(
        self,
        schema: str,
        declarations: Declarations,
        fill: Callable[[ForeignSession], "PostgresRows"],
        identity: Callable[[], tuple[Any, ...]],
    ) -> None:
        """`fill` makes the verbs of a session, `identity` asks our own database for IDENTITY."""
        self._texts = _ForeignTexts(schema)
        self._declarations = declarations
        self._fill = fill
        self._ask_identity = identity
        self._identity: tuple[Any, ...] | None = None
        self._same: WeakSet[Any] = WeakSet()

    @uninterrupted
    def run(
        self, connection: object, work: Callable[[Rows], T], committed: Callable[[T], None]
    ) -> T:
        """As `Joinable.join`."""
        foreign = find_foreign(connection)
        self._check(foreign)
        for attempt in range(TRIES):
            session = ForeignSession(foreign, self._texts, self._declarations)
            if attempt:  # what is kept is newer than what is seen there, or older: ask there
                session.declare()
            rows = self._fill(session)
            try:
                answer = work(rows)
                if session.unproved:
                    rows.prove()
            except Stale:
                continue
            foreign.after_commit(partial(committed, answer))
            return answer
        raise BrokerUnavailable("declarations change all the time")

    def _check(self, foreign: Foreign) -> None:
        """Raise ConfigError when it is another database."""
        if foreign.raw in self._same:
            return
        if self._identity is None:
            self._identity = self._ask_identity()
        if tuple(foreign.run(IDENTITY).rows[0]) != self._identity:
            raise ConfigError(
                "connection= leads to another database than the broker's: what is stored there "
                "would never be found; use `taskflow.outbox` there, or have the broker in that "
                "database"
            )
        self._same.add(foreign.raw)
