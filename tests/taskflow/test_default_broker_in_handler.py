"""A handler of signals publishes to the default broker while its thread opens that."""

import pytest

from taskflow import Broker, open_broker, publisher
from tests.taskflow.stores.test_ctrl_c import at_place

MANY = 200


def test_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Broker] = []
    closed: list[Broker] = []

    def open_one() -> Broker:
        made = open_broker("memory://")
        opened.append(made)
        close = made.close

        def note() -> None:
            closed.append(made)
            close()

        monkeypatch.setattr(made, "close", note)
        return made

    monkeypatch.setattr(publisher, "open_broker", open_one)
    for number in range(MANY):
        monkeypatch.setattr(publisher, "_default", None)
        opened.clear()
        closed.clear()
        found: list[Broker] = []

        def default(found: list[Broker] = found) -> None:
            found.append(publisher.default_broker())

        came = at_place(number, default, default, "taskflow.publisher")
        assert len({id(one) for one in found}) == 1, f"at place {number}"
        assert [one for one in opened if one not in closed] == found[:1]
        found[0].close()
        if not came:
            break
    assert 2 < number < MANY - 1
