"""The look at all queues, which all pages share."""

import pytest

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSubscription
from taskflow.dashboard.survey import Surveyor
from taskflow.testing import ManualClock


@pytest.mark.parametrize(("took", "good_for"), [(0.01, 1.0), (0.5, 5.0), (2.0, 20.0), (9.0, 30.0)])
def test_what_takes_long_is_looked_at_less_often(
    shop: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    took: float,
    good_for: float,
) -> None:
    subscriptions = shop.subscriptions

    def slow() -> list[TopicSubscription]:
        taskflow_clock.advance(took)
        return subscriptions()

    monkeypatch.setattr(shop, "subscriptions", slow)
    surveyor = Surveyor(shop)
    first = surveyor.look()
    taskflow_clock.advance(good_for - took - 0.005)
    assert surveyor.look() is first
    taskflow_clock.advance(0.01)
    second = surveyor.look()
    assert second is not first
    surveyor.forget()
    assert surveyor.look() is not second, "what was changed is seen at once"
