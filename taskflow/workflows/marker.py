"""The table in a user's database that says which steps have been done there."""

from typing import Any

TABLE = "taskflow_step"


class Markers:
    """Rows of `taskflow_step` behind an SQLAlchemy engine; the table is made when it is missing.
    Raises TypeError for what is no engine."""

    def __init__(self, engine: Any) -> None:
        if not type(engine).__module__.startswith("sqlalchemy"):
            raise TypeError(
                f"transaction_on takes an SQLAlchemy engine; this is a {type(engine).__name__}"
            )
        from sqlalchemy import Column, Float, MetaData, String, Table, Text

        self._table = Table(
            TABLE,
            MetaData(),
            Column("step", String(600), primary_key=True),
            Column("result", Text, nullable=False),
            Column("at", Float, nullable=False),
        )
        self._table.metadata.create_all(engine, checkfirst=True)

    def find(self, connection: Any, step: str) -> bytes | None:
        """What a step returned (JSON), if it has been done there."""
        from sqlalchemy import select

        table = self._table
        found = connection.execute(select(table.c.result).where(table.c.step == step)).scalar()
        return None if found is None else str(found).encode()

    def add(self, connection: Any, step: str, result: bytes, at: float) -> None:
        """A step has been done there. Raises the database's IntegrityError when another one, of a
        worker that is as late as this one, was first."""
        row = {"step": step, "result": result.decode(), "at": at}
        connection.execute(self._table.insert().values(**row))
