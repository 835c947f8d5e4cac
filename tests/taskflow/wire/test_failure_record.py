"""The failure record of a dead letter."""

import json

from taskflow.message import Delivery
from taskflow.wire.failure_record import failure_record, never_finished, write_failure

DELIVERY = Delivery("a", "made", "x", {}, "work", "receipt", 4, 10.0, 20.0, 50.0)


def test_it_says_why_what_and_when() -> None:
    assert failure_record("broken", DELIVERY, 3, 60.0, handler="app.audit") == {
        "reason": "broken",
        "handler": "app.audit",
        "topic": "made",
        "queue": "work",
        "attempts": 3,
        "sent_at": 10.0,
        "first_received_at": 20.0,
        "failed_at": 60.0,
    }


def test_it_is_json_in_the_letter() -> None:
    text = write_failure(never_finished(3), DELIVERY, 3, 60.0)
    assert json.loads(text) == failure_record(never_finished(3), DELIVERY, 3, 60.0)
    assert "received 3 times and never finished: its worker was killed" in text
