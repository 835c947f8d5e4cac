"""SqlDatabase: a SQL database by its address, its errors in our words, tables made when missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect
from sqlalchemy.exc import DataError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from taskflow import forking
from taskflow.errors import BrokerUnavailable, ConfigError, LimitExceeded

TABLES = MetaData()
"""The tables of events and of what workers share."""


class RowExists(Exception):
    """There is a row of that key. No error, but an answer."""


class SqlDatabase:
    """Thread-safe. `tables` are made when they are missing."""

    def __init__(self, engine: Engine, tables: MetaData = TABLES) -> None:
        self._engine: Engine
        self._tables = tables
        self._made = False
        forking.anew(self, _engine=partial(_of_this_process, engine))

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction. Raises BrokerUnavailable, RowExists when a row is there already, and
        LimitExceeded for a value that the database cannot keep."""
        try:
            if not self._made:
                self._make()
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise RowExists(_short(error)) from error
        except DataError as error:
            raise LimitExceeded(f"the database cannot keep this: {_short(error)}") from error
        except SQLAlchemyError as error:
            raise BrokerUnavailable(
                f"{self._engine.url.render_as_string()}: {_short(error)}"
            ) from error

    def _make(self) -> None:
        for table in self._tables.tables.values():
            try:
                table.create(self._engine, checkfirst=True)
            except SQLAlchemyError:
                if not inspect(self._engine).has_table(table.name):
                    raise  # else another worker was faster
        self._made = True

    def close(self) -> None:
        """Close the database's connections. Idempotent."""
        self._engine.dispose()


def _of_this_process(engine: Engine) -> Engine:
    """In a fork without the connections, which are the parent's."""
    engine.dispose(close=False)
    return engine


def _short(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())


def open_sql_database(
    url: str, tables: MetaData = TABLES, option: str = "idempotency"
) -> SqlDatabase:
    """A database by its address, that of `option`. Raises ConfigError for one that SQLAlchemy does
    not know, without its password."""
    try:
        return SqlDatabase(create_engine(url, pool_pre_ping=True), tables)
    except (NoSuchModuleError, ImportError) as error:
        raise ConfigError(f"no driver for the database of {option}=: {error}") from None
    except (SQLAlchemyError, ValueError):
        raise ConfigError(
            f"{option}= is no address of a database; write postgresql+psycopg://user@host/name"
        ) from None
