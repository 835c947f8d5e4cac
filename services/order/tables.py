"""The tables of the order service."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from services.database import NAMES

metadata = MetaData(naming_convention=NAMES)

# SQLite counts by itself only in columns of the type INTEGER.
Sequence = BigInteger().with_variant(Integer, "sqlite")

orders = Table(
    "orders",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("customer_email", String(254), nullable=False),
    Column("items", Text, nullable=False),
    Column("total_cents", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("payment_id", String(64)),
    Column("version", Integer, nullable=False),
    Column("locked_until", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    CheckConstraint("total_cents >= 0", name="total_not_negative"),
    CheckConstraint(
        "status IN ('pending', 'charging', 'paid', 'declined', 'cancelled', 'refunded')",
        name="status_known",
    ),
    sqlite_autoincrement=True,
)

# A request that carried an Idempotency-Key, and its answer once there is one.
requests = Table(
    "requests",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("order_id", ForeignKey("orders.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("answer_status", Integer),
    Column("answer_headers", Text),
    Column("answer_body", Text),
    Column("created_at", Float, nullable=False),
)
