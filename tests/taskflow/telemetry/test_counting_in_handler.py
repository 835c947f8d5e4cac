"""A handler of signals counts while its thread does."""

from taskflow.telemetry.counter import Counter
from taskflow.telemetry.histogram import Histogram
from tests.taskflow.stores.test_ctrl_c import at_place

MANY = 100
WHERE = "taskflow.telemetry"


def test_a_counter_has_both() -> None:
    for number in range(MANY):
        counter = Counter("some_total", "Some.", ["queue"])
        counter.add("work")

        def add(counter: Counter = counter) -> None:
            counter.add("work")

        came = at_place(number, add, add, WHERE)
        assert [one.value for one in counter.family().samples] == [2 + came]
        if not came:
            break
    assert 0 < number < MANY - 1


def test_a_histogram_has_both() -> None:
    for number in range(MANY):
        histogram = Histogram("some", "Some.", ["queue"], [1.0])
        histogram.observe(0.5, "work")

        def observe(histogram: Histogram = histogram) -> None:
            histogram.observe(0.5, "work")

        came = at_place(number, observe, observe, WHERE)
        assert histogram.family().samples[-1].value == 2 + came
        if not came:
            break
    assert 0 < number < MANY - 1
