"""Where payments are kept: one table, which never holds a card number or a CVC."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.database import READ_ONLY, open_database
from services.payment.cards import Brand, Decline
from services.payment.tables import metadata, payments
from taskflow import outbox
from taskflow.clock import Clock

PAYMENT_REFUNDED = "payment.refunded"


class Status(StrEnum):
    """Where a payment stands; the only change ever made is from approved to refunded."""

    APPROVED = "approved"
    DECLINED = "declined"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as stored. Times in epoch seconds."""

    id: str
    idempotency_key: str
    fingerprint: str
    order_id: str
    status: Status
    amount_cents: int
    currency: str
    card_brand: Brand | None
    card_last4: str
    decline_code: Decline | None
    created_at: float
    refunded_at: float | None = None
    reference: str | None = None
    """Of the charge, by the gateway."""


class PaymentRepository:
    """Reads and writes payments. Thread-safe; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The database, for the methods on file and the outbox."""
        return self._engine

    @classmethod
    def open(cls, url: str) -> "PaymentRepository":
        """Connect to a database URL and create what is missing."""
        return cls(open_database(url, metadata))

    def add(self, payment: Payment) -> Payment:
        """Store a payment, unless its idempotency key is taken: answers what is stored then.

        Of concurrent calls with one key exactly one stores its payment; all answer that one.
        """
        row = {name: getattr(payment, name) for name in Payment.__dataclass_fields__}
        row["card_brand"] = payment.card_brand or ""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(payments).values(row))
        except IntegrityError:
            stored = self.find_by_key(payment.idempotency_key)
            if stored is None:
                raise
            return stored
        return payment

    def find(self, payment_id: str) -> Payment | None:
        """The payment of that id."""
        return self._find_one(payments.c.id == payment_id)

    def find_by_key(self, idempotency_key: str) -> Payment | None:
        """The payment made under that idempotency key."""
        return self._find_one(payments.c.idempotency_key == idempotency_key)

    def approved_of_order(self, order_id: str) -> list[Payment]:
        """The payments of an order that hold its money."""
        query = select(payments).where(
            payments.c.order_id == order_id, payments.c.status == Status.APPROVED
        )
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            return [_to_payment(row) for row in connection.execute(query)]

    def mark_refunded(self, payment_id: str, now: float, clock: Clock) -> None:
        """Turn an approved payment into a refunded one, and save the event that tells of it; any
        other stays as it is."""
        change = (
            update(payments)
            .where(payments.c.id == payment_id, payments.c.status == Status.APPROVED)
            .values(status=Status.REFUNDED, refunded_at=now)
        )
        with self._engine.begin() as connection:
            if connection.execute(change).rowcount != 1:
                return
            row = connection.execute(select(payments).where(payments.c.id == payment_id)).one()
            outbox.publish(
                connection,
                PAYMENT_REFUNDED,
                {
                    "payment_id": row.id,
                    "order_id": row.order_id,
                    "amount_cents": row.amount_cents,
                    "currency": row.currency,
                },
                source="payment",
                subject=row.order_id,
                clock=clock,
            )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _find_one(self, condition: Any) -> Payment | None:
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            row = connection.execute(select(payments).where(condition)).one_or_none()
        return None if row is None else _to_payment(row)


def _to_payment(row: Any) -> Payment:
    fields = dict(row._mapping)
    fields["status"] = Status(fields["status"])
    fields["card_brand"] = Brand(fields["card_brand"]) if fields["card_brand"] else None
    if fields["decline_code"] is not None:
        fields["decline_code"] = Decline(fields["decline_code"])
    return Payment(**fields)
