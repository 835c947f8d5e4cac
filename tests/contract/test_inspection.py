"""Finding messages wherever they lie, dead letters by cause, and single letters that are mended."""

import pytest

from taskflow.broker import Broker
from taskflow.broker.message_query import MessageQuery
from taskflow.message import Message
from taskflow.stores import finder
from taskflow.testing import ManualClock
from taskflow.testing.contract.admin.inspection import *
from taskflow.testing.contract.needs import needs

LETTERS = 10_000
"""Characters of a large body."""


@pytest.fixture
def large(broker: Broker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of 12 large messages, three of which are read for a page, the newest first."""
    monkeypatch.setattr(finder, "SEARCHED", 3 * LETTERS)
    monkeypatch.setattr(finder, "ANSWERED", 3 * LETTERS)
    monkeypatch.setattr(finder, "PORTION", 2)
    broker.create_queue("large")
    for number in range(12):
        clock.advance(1)
        body = f"{'é' if number % 2 else 'e'}{'x' * LETTERS}needle-{number}"
        broker.send("large", [Message(f"m{number}", body)])
    return [f"m{number}" for number in reversed(range(12))]


@needs("inspection")
@pytest.mark.parametrize("asked", [{}, {"states": ["waiting"]}, {"queues": ["large"]}], ids=str)
def test_words_are_looked_for_in_so_many_bytes_and_it_goes_on_from_there(
    broker: Broker, clock: ManualClock, large: list[str], asked: dict[str, list[str]]
) -> None:
    found, pages, after = [], 0, None
    while pages == 0 or after is not None:
        page = broker.find(
            MessageQuery(text="needle-1", after=after, **asked)  # type: ignore[arg-type]
        )
        assert page.looked <= 4 * len(getattr(broker, "shards", [0]))
        if page.next is not None and "states" not in asked:
            assert page.since is not None
            assert 1000.0 < page.since <= clock.now()
        found += [one.delivery.id for one in page.messages]
        after, pages = page.next, pages + 1
    assert found == ["m11", "m10", "m1"]
    assert pages >= 2


@needs("inspection")
def test_one_that_is_larger_than_a_page_may_be_is_found(
    broker: Broker, large: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "SEARCHED", 1)
    monkeypatch.setattr(finder, "ANSWERED", 1)
    found, after = [], None
    for _ in range(100):
        page = broker.find(MessageQuery(text="needle", after=after))
        found += [one.delivery.id for one in page.messages]
        after = page.next
        if after is None:
            break
    assert found == large


@needs("inspection")
def test_a_page_holds_so_many_bytes_of_bodies(broker: Broker, large: list[str]) -> None:
    found, pages, after = [], 0, None
    while pages == 0 or after is not None:
        page = broker.find(MessageQuery(queues=["large"], limit=10, after=after))
        assert len(page.messages) <= 10
        found += [one.delivery.id for one in page.messages]
        after, pages = page.next, pages + 1
    assert found == large
    assert pages >= 2
