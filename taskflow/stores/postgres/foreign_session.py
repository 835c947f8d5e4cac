"""A session over a transaction of the application's own, which it neither begins nor ends."""

from typing import Any

from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.foreign import Foreign, Found
from taskflow.stores.postgres.session import Session, Values
from taskflow.stores.postgres.texts import Texts


class ForeignSession(Session):
    """What is done is a part of that transaction. No value is sent but beside a statement."""

    def __init__(self, foreign: Foreign, texts: Texts, shared: Declarations) -> None:
        self._foreign = foreign
        self._texts = texts
        self.be_new(shared)
        self._wanted = self._begun = self.whole = True

    def _run(self, sql: str, values: Values = ()) -> Any:
        return self._found(sql, values)

    def _found(self, sql: str, values: Values) -> Found:
        return self._foreign.run(self._texts[sql], values)

    def ask(self, sql: str, values: Values = ()) -> list[Any]:
        return list(self._found(sql, values).rows)

    def first(self, sql: str, values: Values = ()) -> Any:
        rows = self._found(sql, values).rows
        return rows[0] if rows else None

    def write(self, sql: str, values: Values = ()) -> list[Any]:
        return self.ask(sql, values)

    def change(self, sql: str, values: Values = ()) -> int:
        return self._found(sql, values).changed

    @property
    def is_lost(self) -> bool:
        return self._foreign.closed
