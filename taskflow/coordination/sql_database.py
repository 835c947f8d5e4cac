"""SqlDatabase: a SQL database by its address, its errors in our words, tables made when missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect
from sqlalchemy.exc import IntegrityError, NoSuchModuleError, SQLAlchemyError

from taskflow.errors import BrokerUnavailable, ConfigError

TABLES = MetaData()
"""The tables that are made when they are missing."""


class RowExists(Exception):
    """There is a row of that key. No error, but an answer."""


class SqlDatabase:
    """Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made = False

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction. Raises BrokerUnavailable, and RowExists when a row is there already."""
        try:
            if not self._made:
                self._make()
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise RowExists(_short(error)) from error
        except SQLAlchemyError as error:
            raise BrokerUnavailable(
                f"{self._engine.url.render_as_string()}: {_short(error)}"
            ) from error

    def _make(self) -> None:
        for table in TABLES.tables.values():
            try:
                table.create(self._engine, checkfirst=True)
            except SQLAlchemyError:
                if not inspect(self._engine).has_table(table.name):
                    raise  # else another worker was faster
        self._made = True

    def close(self) -> None:
        """Close the database's connections. Idempotent."""
        self._engine.dispose()


def _short(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())


def open_sql_database(url: str) -> SqlDatabase:
    """Raises ConfigError for an address that SQLAlchemy does not know, without its password."""
    try:
        return SqlDatabase(create_engine(url, pool_pre_ping=True))
    except (NoSuchModuleError, ImportError) as error:
        raise ConfigError(f"no driver for the database of idempotency=: {error}") from None
    except (SQLAlchemyError, ValueError):
        raise ConfigError(
            "idempotency= is no address of a database; write postgresql+psycopg://user@host/name"
        ) from None
