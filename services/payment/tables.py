"""The tables of the payment service; none ever holds a card number or a CVC."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from services.database import NAMES

metadata = MetaData(naming_convention=NAMES)

payments = Table(
    "payments",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("idempotency_key", String(255), nullable=False, unique=True),
    # What the key was used for, without anything secret: see `service.fingerprint`.
    Column("fingerprint", String(64), nullable=False),
    Column("order_id", String(64), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("card_brand", String(16), nullable=False),
    Column("card_last4", String(4), nullable=False),
    Column("decline_code", Text),
    Column("created_at", Float, nullable=False),
    Column("refunded_at", Float),
    Column("reference", String(255)),
    CheckConstraint("amount_cents > 0", name="amount_positive"),
    CheckConstraint("status IN ('approved', 'declined', 'refunded')", name="status_known"),
)

# Who has ever saved a method: the gateway's default stands for nobody else's.
customers = Table(
    "customers",
    metadata,
    Column("id", String(254), primary_key=True),
    Column("created_at", Float, nullable=False),
)

methods = Table(
    "payment_methods",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("customer_id", String(254), nullable=False, index=True),
    Column("token", String(255), nullable=False),
    Column("card_brand", String(16), nullable=False),
    Column("card_last4", String(4), nullable=False),
    Column("exp_month", Integer, nullable=False),
    Column("exp_year", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("removed_at", Float),
)
