"""What a dead letter died of, read from whatever stands in its failure record."""

import json

import pytest

from taskflow.message import FAILURE
from taskflow.wire.failure_cause import place_of, read_cause

TRACE = """Traceback (most recent call last):
  File "/venv/lib/python3.13/site-packages/taskflow/worker/execute.py", line 85, in invoke
    result = entry.handler(*arguments.args)
  File "/srv/shop/orders.py", line 42, in charge
    client.post("/charges")
  File "/venv/lib/python3.13/site-packages/httpx/_client.py", line 9, in post
    raise ConnectError("no")
httpx.ConnectError: no
"""


def attributes(record: object) -> str:
    return json.dumps({FAILURE: json.dumps(record)})


def test_the_place_is_the_last_frame_of_ones_own() -> None:
    assert place_of(TRACE) == "shop/orders.py:42 in charge"
    assert place_of(TRACE.replace("/srv/shop/orders.py", "/usr/lib/python3.13/json/x.py")) == (
        "httpx/_client.py:9 in post"  # where none is, the last
    )
    assert place_of('File "C:\\shop\\orders.py", line 7, in <module>') == (
        "shop/orders.py:7 in <module>"
    )
    assert place_of("no traceback") is None


def test_two_that_raise_the_same_in_one_place_are_one_cause() -> None:
    one = {"handler": "h", "error": "E", "reason": "failed 3 times", "attempts": 3}
    first = read_cause(attributes(one | {"traceback": TRACE}))
    other = {"reason": "no order 7", "place": "shop/orders.py:42 in charge", "attempts": 4}
    second = read_cause(attributes(one | other))
    assert first.name("work") == second.name("work")
    assert first.name("work") != first.name("other")
    assert (first.attempts, second.attempts, first.reason) == (3, 4, "")
    worn = [read_cause(attributes({"reason": f"received {n} times"})) for n in (5, 12)]
    assert worn[0].name("work") == worn[1].name("work")
    assert worn[0].reason == "received N times"


@pytest.mark.parametrize(
    "stored",
    [
        "{}",
        "no JSON",
        "[" * 100_000,
        json.dumps({FAILURE: 7}),
        json.dumps({FAILURE: {"type": "Binary", "value": "AA=="}}),
        attributes(["a", "list"]),
        attributes({"handler": 7, "error": {}, "reason": ["x"], "attempts": True}),
        attributes({"attempts": 2**70, "handler": "\x00\n", "reason": "a\x1b[2J" * 1000}),
    ],
    ids=range(8),
)
def test_whatever_stands_there_one_is_answered(stored: str) -> None:
    cause = read_cause(stored)
    assert (cause.handler, cause.error, cause.place, cause.attempts) == (None,) * 4
    assert cause.reason.isprintable()
    assert 0 < len(cause.reason) <= 200
    assert len(cause.name("work")) == 16
