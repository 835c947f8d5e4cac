"""A stranger that holds the broker file's write lock for a while."""

import sys
import threading
from pathlib import Path

import apsw

from tests.chaos.history import History


def main(folder: Path, who: str, path: str, seconds: float) -> None:
    history = History(folder, who)
    connection = apsw.Connection(path)
    connection.set_busy_timeout(30_000)
    connection.execute("BEGIN IMMEDIATE")
    history.note("locked")
    threading.Event().wait(seconds)
    connection.execute("ROLLBACK")
    history.note("unlocked")
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
