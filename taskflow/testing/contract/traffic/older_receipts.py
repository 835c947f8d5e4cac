"""Without the fence of the latest receipt: what SQS takes of a client, and a worker must not do."""

import pytest

from taskflow.broker import Broker, Finish
from taskflow.message import Delivery, Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *


@pytest.fixture
def receipts(broker: Broker) -> list[Delivery]:
    """Two deliveries of one message; the second is in flight."""
    broker.create_queue("work")
    broker.send("work", [Message("1", "x")])
    first = broker.receive("work", visibility=0.0)
    return [*first, *broker.receive("work", visibility=30.0)]


@pytest.mark.parametrize("older", [True, False])
def test_an_older_receipt_deletes_if_asked_to(
    broker: Broker, receipts: list[Delivery], older: bool
) -> None:
    assert broker.delete([Finish(receipts[0])], fence=not older) == [older]
    counts = broker.counts("work")
    assert counts.visible + counts.in_flight == (0 if older else 1)


@pytest.mark.parametrize("older", [True, False])
def test_an_older_receipt_shows_the_message_if_asked_to(
    broker: Broker, receipts: list[Delivery], older: bool
) -> None:
    assert broker.change_visibility([(receipts[0], 0.0)], fence=not older) == [older]
    assert len(broker.receive("work")) == (1 if older else 0)


__all__ = collected(globals())
