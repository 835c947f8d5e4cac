"""The tables of fulfilment: how much there is of each product, and what is reserved for whom."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    MetaData,
    String,
    Table,
)

from services.database import NAMES

metadata = MetaData(naming_convention=NAMES)

products = Table(
    "products",
    metadata,
    Column("name", String(200), primary_key=True),
    # Pieces that are reserved for nobody.
    Column("free", BigInteger, nullable=False),
    CheckConstraint("free >= 0", name="free_not_negative"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", String(64), primary_key=True),
    # Of the step that made it; none when the order was given up before anything was reserved.
    Column("key", String(255), unique=True),
    Column("state", String(16), nullable=False),
    Column("changed_at", Float, nullable=False),
    CheckConstraint("state IN ('held', 'shipped', 'released')", name="state_known"),
)

reserved = Table(
    "reserved_pieces",
    metadata,
    Column("order_id", String(64), ForeignKey(reservations.c.order_id), primary_key=True),
    Column("product_name", String(200), ForeignKey(products.c.name), primary_key=True),
    Column("pieces", BigInteger, nullable=False),
)
