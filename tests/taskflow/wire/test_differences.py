"""How settings differ, in words."""

from taskflow.broker.settings import QueueSettings
from taskflow.wire.differences import differences


def test_each_attribute_that_differs_is_named_with_both_values() -> None:
    found, declared = QueueSettings(delay=1.5), QueueSettings(visibility_timeout=5, policy="{}")
    assert differences(found, declared) == [
        "visibility_timeout is 30, declared as 5",
        "delay is 1.5, declared as 0",
        "policy is None, declared as {}",
    ]
    assert differences(found, found) == []


def test_some_are_ignored_and_some_are_the_same_in_other_words() -> None:
    found, declared = QueueSettings(delay=1.5), QueueSettings(delay=2, policy="{}")
    assert differences(found, declared, {"policy"}, lambda *_: True) == []
    assert differences(found, declared, {"policy"}) == ["delay is 1.5, declared as 2"]
