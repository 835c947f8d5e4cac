"""What has just arrived is a message for everybody: who looks or changes anything finds it so."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.errors import TaskflowError
from taskflow.message import Message
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.alone import change_alone
from taskflow.stores.sqlite.store import SqliteStore
from tests.taskflow.stores.test_plain_way import Made

Verb = Callable[[Made], Any]


@pytest.fixture(params=["file", "memory"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """With two events that have arrived and one that was there."""
    made = Made(tmp_path / "broker.db" if request.param == "file" else None)
    made.warm()
    made.publish(1)
    made.publish(2)
    assert arrived(made) == 2
    yield made
    made.broker.close()


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path / "broker.db", durable=False)
    made.warm()
    made.publish(1)
    made.publish(2)
    assert arrived(made) == 2
    yield made
    made.broker.close()


def arrived(made: Made) -> int:
    """How many are not taken over, as SQLite itself sees it."""
    found: int = made.store._database.connection.execute("SELECT count(*) FROM arrival").get
    return found


def stored(made: Made) -> tuple[int, int]:
    """How many messages and bodies there are, as SQLite itself sees it."""
    found: tuple[int, int] = made.store._database.connection.execute(
        "SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM body)"
    ).get
    return found


def select(rows: Rows) -> int:
    """How many messages the verbs of the store find."""
    queue = rows.queue("work")
    assert queue is not None
    return len(rows.select(queue.id, (), 9))


def gathered(made: Made) -> list[int]:
    outcomes, _ = made.broker.gathered([lambda: made.broker.counts("work").visible] * 2, 1.0)
    return [count for count, _ in outcomes]


VERBS: dict[str, tuple[Verb, Any]] = {
    "counts": (lambda made: made.broker.counts("work").visible, 3),
    "peek": (lambda made: len(made.broker.peek("work", limit=9)), 3),
    "receive": (lambda made: len(made.broker.receive("work", limit=9)), 3),
    "receive one": (lambda made: len(made.broker.receive("work")), 1),
    "look": (lambda made: made.store.look(select), 3),
    "step": (lambda made: made.store.step(select), 3),
    "transact": (lambda made: made.store.transact(select), 3),
    "survey": (lambda made: made.broker.survey()["work"].counts.visible, 3),
    "purge": (lambda made: made.broker.purge("work"), 3),
    "gathered": (gathered, [3, 3]),
    "within": (
        lambda made: made.store.within(lambda sql: sql.execute("SELECT count(*) FROM message")),
        [(3,)],
    ),
}


@pytest.mark.parametrize("name", VERBS)
def test_everybody_finds_it_a_message(name: str, made: Made) -> None:
    verb, expected = VERBS[name]
    assert verb(made) == expected
    assert arrived(made) == 0


def test_what_is_undone_leaves_it_for_the_next(made: Made) -> None:
    def fail(_: object) -> None:
        assert arrived(made) == 0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        made.store.transact(fail)
    assert arrived(made) == 2
    assert made.broker.counts("work").visible == 3


def test_a_queue_goes_with_what_arrived_for_it(made: Made) -> None:
    made.broker.delete_queue("work")
    assert arrived(made) == 0
    assert stored(made) == (0, 0)
    made.broker.create_queue("work")
    assert made.broker.counts("work").visible == 0


def test_who_looks_at_a_file_finds_what_another_published(filed: Made, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "broker.db", durable=False)) as other:
        assert other.look(select) == 3
        assert arrived(filed) == 0
        filed.publish(3)
        assert other.step(select) == 4
        filed.publish(4)
        assert other.transact(select) == 5
        assert filed.store.look(select) == 5


def test_it_keeps_its_place_among_others(made: Made) -> None:
    made.broker.send("work", [Message("sent", "3")])
    made.publish(4)
    made.clock.set(made.clock.now() - 3)
    made.publish(5)
    made.broker.send("work", [Message("sent too", "6")])
    numbers = [one[-2:].strip(":}") for one in made.bodies()]
    assert numbers[1:] == ["1", "2", "3", "4", "5", "6"]


def test_a_look_when_all_is_taken_over_changes_nothing(made: Made) -> None:
    made.store.look(select)
    version = made.store.version()
    made.store.look(select)
    assert made.store.version() == version


def test_a_full_disk_loses_nothing_of_it(filed: Made, tmp_path: Path) -> None:
    for number in range(50):
        filed.publish(number)
    connection = filed.store._database.connection
    pages = connection.pragma("page_count")
    connection.pragma("max_page_count", pages)
    assert filed.store.look(select) == 1  # what was there before
    for ask in (filed.store.step, filed.store.transact):
        with pytest.raises(TaskflowError, match="full"):
            ask(select)
        assert connection.get_autocommit()
        assert arrived(filed) == 52
    connection.pragma("max_page_count", 2 * pages)
    assert filed.store.look(select) == 9  # at most
    assert stored(filed) == (53, 53)


def test_sql_of_the_application_holds_up_no_look_at_it(filed: Made, tmp_path: Path) -> None:
    """A transaction of its own may last."""
    filed.store.hurry()
    with closing(SqliteStore(tmp_path / "broker.db", durable=False)) as other:
        assert other.within(lambda _: filed.store.look(select)) == 3


def test_who_changes_a_file_alone_finds_it_a_message(filed: Made, tmp_path: Path) -> None:
    filed.publish(3)
    filed.broker.close()
    path = tmp_path / "broker.db"
    with closing(apsw.Connection(str(path))) as raw:
        assert raw.execute("SELECT count(*) FROM arrival").get == 3
    found: list[int] = []
    change_alone(path, lambda rows: found.append(select(rows)))
    assert found == [4]


def test_a_copy_of_the_file_has_it(filed: Made, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    filed.broker.back_up(copy)
    assert arrived(filed) == 2
    with closing(SqliteStore(copy, durable=False)) as other:
        assert other.look(select) == 3
