"""The application of `make month`, for an hour of a day: what it counts."""

from benchmarks.month import SUBSCRIBERS, simulate


def test_each_tick_is_handled_once_whatever_fails() -> None:
    done, sim = simulate(1 / 12)
    assert done["minutely"] == 120
    assert done["hourly"] == 2
    assert sum(done[f"subscriber_{number}"] for number in range(SUBSCRIBERS)) == 2 * SUBSCRIBERS
    failed = sum(one.outcome.startswith("failed") for one in sim.attempts)
    assert len(sim.attempts) == sum(done.values()) + failed
    assert 1 <= failed <= 20
