"""A stranger that holds the broker file's write lock for a while, or all rows of a server."""

import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import psycopg

from tests.chaos.history import History


def main(folder: Path, who: str, address: str, seconds: float) -> None:
    history = History(folder, who)
    parts = urlsplit(address)
    if parts.scheme == "sqlite":
        hold_file(history, parts.path[1:], seconds)
    else:
        hold_rows(history, address, seconds)


def hold_file(history: History, path: str, seconds: float) -> None:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(30_000)
    connection.execute("BEGIN IMMEDIATE")
    history.note("locked")
    threading.Event().wait(seconds)
    connection.execute("ROLLBACK")
    history.note("unlocked")
    connection.close()


def hold_rows(history: History, address: str, seconds: float) -> None:
    locked = False
    try:
        with psycopg.connect(address) as connection:
            connection.execute("LOCK TABLE taskflow.message IN ACCESS EXCLUSIVE MODE")
            history.note("locked")
            locked = True
            threading.Event().wait(seconds)
            connection.rollback()
    except psycopg.OperationalError:  # it crashed meanwhile, or before
        pass
    if locked:
        history.note("unlocked")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
