"""The tables of `SqlRecordStore`, made when they are missing.

Their primary keys are digests of names, 64 characters, since MySQL indexes no text of any length.
"""

from hashlib import sha256

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR

RECORD_TABLES = MetaData()
_ID = String(64)
# MySQL's own order takes `A` for `a`, and its TEXT ends at 64 KB.
_NAME = String(512).with_variant(VARCHAR(512, collation="utf8mb4_bin"), "mysql", "mariadb")
_TEXT = Text().with_variant(LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")
_TIME = Float(53)

RECORDS = Table(
    "taskflow_records",
    RECORD_TABLES,
    Column("id", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("value", _TEXT, nullable=False),
    Column("parent", _NAME),
    Column("label", _NAME),
    Column("state", _NAME),
    Column("due_at", _TIME),
    Column("expires_at", _TIME, index=True),
    Column("count", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("changed_at", _TIME, nullable=False),
)
_SHORT = {"kind": 64, "parent": 512, "label": 255, "state": 64}  # of 3,072 bytes of an index
Index("taskflow_records_newest", RECORDS.c.kind, RECORDS.c.number, mysql_length={"kind": 64})
for _column in ("parent", "label", "state"):
    Index(
        f"taskflow_records_{_column}",
        RECORDS.c.kind,
        RECORDS.c[_column],
        RECORDS.c.number,
        mysql_length={"kind": 64, _column: _SHORT[_column]},
    )
Index(
    "taskflow_records_due",
    RECORDS.c.kind,
    RECORDS.c.due_at,
    RECORDS.c.number,
    mysql_length={"kind": 64},
)

KEYS = Table(
    "taskflow_keys",
    RECORD_TABLES,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("holder", _NAME, nullable=False),
    Column("until", _TIME, index=True),
)
CHANGES = Table(
    "taskflow_changes",
    RECORD_TABLES,
    Column("id", _ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("answer", _TEXT, nullable=False),
    Column("expires_at", _TIME, nullable=False, index=True),
)


def id_of(*names: str) -> str:
    """The primary key of what has these names: no two have one."""
    text = "".join(f"{len(name)}:{name}" for name in names)
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
