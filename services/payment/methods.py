"""The payment methods that customers have on file: tokens, never numbers."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy import update as change
from sqlalchemy.exc import IntegrityError

from services.database import READ_ONLY
from services.payment.cards import Brand
from services.payment.tables import customers, methods


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method on file. Times in epoch seconds."""

    id: str
    customer_id: str
    token: str
    card_brand: Brand
    card_last4: str
    exp_month: int
    exp_year: int
    created_at: float
    removed_at: float | None = None


class MethodRepository:
    """Reads and writes payment methods. Thread-safe; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, method: Method) -> None:
        """Keep a method; it is the customer's default from now on."""
        row = {name: getattr(method, name) for name in Method.__dataclass_fields__}
        with self._engine.begin() as connection:
            _note(connection, method.customer_id, method.created_at)
            connection.execute(insert(methods).values(row))

    def of(self, customer_id: str) -> list[Method]:
        """What a customer has on file, the newest first, which is the default."""
        query = (
            select(methods)
            .where(methods.c.customer_id == customer_id, methods.c.removed_at.is_(None))
            .order_by(methods.c.seq.desc())
        )
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            return [_to_method(row) for row in connection.execute(query)]

    def is_known(self, customer_id: str) -> bool:
        """Whether the customer has ever saved a method."""
        query = select(customers.c.id).where(customers.c.id == customer_id)
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            return connection.execute(query).one_or_none() is not None

    def remove(self, customer_id: str, method_id: str, now: float) -> bool:
        """Take a method away; False when the customer never had it. Idempotent."""
        its = (methods.c.id == method_id, methods.c.customer_id == customer_id)
        with self._engine.begin() as connection:
            if connection.execute(select(methods.c.id).where(*its)).one_or_none() is None:
                return False
            connection.execute(
                change(methods).where(*its, methods.c.removed_at.is_(None)).values(removed_at=now)
            )
        return True


def _note(connection: Connection, customer_id: str, now: float) -> None:
    known = select(customers.c.id).where(customers.c.id == customer_id)
    if connection.execute(known).one_or_none() is not None:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(customers).values(id=customer_id, created_at=now))
    except IntegrityError:  # where writers overlap: somebody else has noted it
        return


def _to_method(row: Any) -> Method:
    fields = dict(row._mapping)
    del fields["seq"]
    fields["card_brand"] = Brand(fields["card_brand"])
    return Method(**fields)
