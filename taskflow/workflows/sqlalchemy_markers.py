"""Which steps have been done in a database of the user's, behind an SQLAlchemy engine."""

from contextlib import AbstractContextManager
from typing import Any

from taskflow.workflows.markers import TABLE


class SqlAlchemyMarkers:
    """`Markers` of an engine; the table is made when it is missing."""

    def __init__(self, engine: Any) -> None:
        from sqlalchemy import Column, Float, MetaData, String, Table, Text

        self._engine = engine
        self._table = Table(
            TABLE,
            MetaData(),
            Column("step", String(600), primary_key=True),
            Column("result", Text, nullable=False),
            Column("at", Float, nullable=False),
        )
        self._table.metadata.create_all(engine, checkfirst=True)

    def begin(self) -> AbstractContextManager[Any]:
        """As of markers."""
        begun: AbstractContextManager[Any] = self._engine.begin()
        return begun

    def find(self, connection: Any, step: str) -> bytes | None:
        """As of markers."""
        from sqlalchemy import select

        table = self._table
        found = connection.execute(select(table.c.result).where(table.c.step == step)).scalar()
        return None if found is None else str(found).encode()

    def add(self, connection: Any, step: str, result: bytes, at: float) -> None:
        """As of markers."""
        row = {"step": step, "result": result.decode(), "at": at}
        connection.execute(self._table.insert().values(**row))
