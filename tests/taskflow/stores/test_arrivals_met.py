"""Who meets what has just arrived in the midst of something: in haste, or a file that is gone."""

from pathlib import Path

import pytest

from taskflow.errors import FileReplaced
from taskflow.stores.rows import Rows
from tests.taskflow.stores.test_plain_way import Made


def select(rows: Rows) -> int:
    """How many messages the verbs of the store find."""
    queue = rows.queue("work")
    assert queue is not None
    return len(rows.select(queue.id, (), 9))


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_call_in_haste_may_look_at_it_and_change_something(
    in_memory: bool, tmp_path: Path
) -> None:
    made = Made(None if in_memory else tmp_path / "broker.db")
    made.warm()
    made.publish(1)

    def call() -> tuple[int, int]:
        return made.broker.counts("work").visible, made.store.transact(select)

    outcomes, _ = made.broker.gathered([call])  # that has one transaction, on an event loop
    assert outcomes == [((2, 2), None)]
    made.broker.close()


@pytest.mark.parametrize("durable", [False, True])
def test_what_arrived_before_the_file_was_found_changed_is_not_published_anew(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced() -> None:
        raise FileReplaced("it has another WAL")

    made = Made(tmp_path / "broker.db", durable=durable)
    made.warm()
    with monkeypatch.context() as patched:
        patched.setattr(made.way, "_sync", replaced)
        patched.setattr(made.store._database, "check", replaced)
        patched.setattr(made.store._database.file, "look", lambda: None)
        made.publish(1)
    assert made.taken == [True]
    assert [body[-2:] for body in made.bodies()[1:]] == ["1}"]
    made.broker.close()
