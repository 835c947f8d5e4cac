"""Topics' names, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.limits import check_topic
from taskflow.wire.topic_names import from_sns, to_sns

PART = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TOPICS = st.builds(
    lambda parts, fifo: ".".join(parts) + ".fifo" * fifo,
    st.lists(PART, min_size=1, max_size=4).filter(lambda parts: parts[-1] != "fifo"),
    st.booleans(),
)


@given(topic=TOPICS)
def test_a_topic_comes_back_from_sns_as_it_was(topic: str) -> None:
    assert from_sns(to_sns(check_topic(topic))) == topic


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("order.created", "order-created"),
        ("order.created.fifo", "order-created.fifo"),
        ("a.b_c.d", "a-b_c-d"),
        ("fifo", "fifo"),
        ("a.b.c", "a-b-c"),
    ],
)
def test_what_it_is_called_on_sns(topic: str, name: str) -> None:
    assert to_sns(topic) == name
    assert from_sns(name) == topic
