"""A session over a transaction of the application's own, which it neither begins nor ends."""

from typing import Any

from taskflow.stores.postgres.declarations import Declarations
from taskflow.stores.postgres.foreign import Foreign
from taskflow.stores.postgres.session import Session, Values
from taskflow.stores.postgres.texts import Texts


class ForeignSession(Session):
    """What is done is a part of that transaction."""

    def __init__(self, foreign: Foreign, texts: Texts, shared: Declarations) -> None:
        self._foreign = foreign
        self._texts = texts
        self.be_new(shared)
        self._wanted = self._begun = self.whole = True

    def _run(self, sql: str, values: Values = ()) -> Any:
        return self._foreign.run(self._texts[sql], values)

    def ask(self, sql: str, values: Values = ()) -> list[Any]:
        return list(self._foreign.run(self._texts[sql], values).rows)

    def change(self, sql: str, values: Values = ()) -> int:
        return self._foreign.run(self._texts[sql], values).changed

    @property
    def is_lost(self) -> bool:
        return self._foreign.closed
