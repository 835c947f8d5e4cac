"""The database of a service: write locks taken early, readers not in the way."""

from pathlib import Path
from threading import Thread

from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text

from services.database import READ_ONLY, open_database

metadata = MetaData()
numbers = Table("numbers", metadata, Column("n", Integer, primary_key=True))


def test_folder_and_tables_are_made_and_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a/b/numbers.db"
    for _ in range(2):
        engine = open_database(url, metadata)
        with engine.begin() as connection:
            connection.execute(insert(numbers).values())
        engine.dispose()
    engine = open_database(url, metadata)
    with engine.connect() as connection:
        assert connection.execute(select(numbers)).scalars().all() == [1, 2]
    engine.dispose()


def test_concurrent_read_then_write_loses_no_update(tmp_path: Path) -> None:
    """With plain BEGIN one of two such transactions fails at once, whatever the timeout."""
    engine = open_database(f"sqlite:///{tmp_path}/numbers.db", metadata)

    def add_next() -> None:
        for _ in range(10):
            with engine.begin() as connection:
                last = connection.execute(select(numbers.c.n).order_by(-numbers.c.n)).scalar() or 0
                connection.execute(insert(numbers).values(n=last + 1))

    threads = [Thread(target=add_next) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        assert len(connection.execute(select(numbers)).all()) == 40
    engine.dispose()


def test_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/numbers.db", metadata)
    with engine.begin() as writer:
        writer.execute(insert(numbers).values(n=1))
        with engine.connect().execution_options(**READ_ONLY) as reader:
            assert reader.execute(select(numbers)).all() == []
    engine.dispose()


def test_journal_is_not_wal(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/numbers.db", metadata)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "delete"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()
