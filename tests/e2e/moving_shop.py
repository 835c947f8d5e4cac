"""The shop that test_migration moves to AWS: two handlers that note what they did."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from taskflow import Event, Reject, subscribe


@subscribe("order.created", queue="audit")
def record(event: Event[dict[str, Any]]) -> None:
    note(event)


@subscribe("order.cancelled", queue="refunds", retries=1)
def refund(event: Event[dict[str, Any]]) -> None:
    if not Path(os.environ["SHOP_FOLDER"], "mended").exists():
        raise Reject("the bank is closed")
    note(event)


def note(event: Event[dict[str, Any]]) -> None:
    """Every run, and the effect under a key of its own, in one transaction."""
    file = Path(os.environ["SHOP_FOLDER"], "shop.db")
    with closing(sqlite3.connect(file, timeout=15)) as database, database:
        run = (event.id, os.environ["SHOP_SIDE"])
        database.execute("INSERT INTO runs VALUES (?, ?)", run)
        database.execute("INSERT INTO effects VALUES (?) ON CONFLICT DO NOTHING", (event.id,))
