"""What a simulation does beside its database is what it would do there: histories both ways."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.month import application
from taskflow import Registry, task
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.broker.settings import Holding
from taskflow.errors import BrokerUnavailable, LimitExceeded, VersionConflict
from taskflow.testing import Sim
from taskflow.testing.simulation import sim as simulation
from taskflow.testing.simulation.fault_rates import CHAOS, Faults
from taskflow.testing.simulation.foreground import Foreground
from taskflow.testing.simulation.trial import Trial, on_trial
from tests.model.test_simulation import History
from tests.model.test_workflows import live
from tests.taskflow.making import FIXED

TABLES = {
    "message": "queue, visible_at, receive_count, receipt, first_received_at, sent_at, id, topic, "
    "source, lane, tenant, level, slot, body, attributes, extra",
    "record": "kind, key, version, value, parent, label, state, due_at, expires_at, count, "
    "created_at, changed_at",
    "holding": "key, holder, until",
    "finished": "queue, id, topic, expires_at",
    "queue": "name, settings, handled, dead_lettered, expired, paused",
}
ALIVE = {
    "message": "WHERE ?1 ORDER BY queue, seq",
    "record": "WHERE expires_at IS NULL OR expires_at > ?1 ORDER BY kind, number",
    "holding": "WHERE until IS NULL OR until > ?1 ORDER BY key",
    "finished": "WHERE expires_at > ?1 ORDER BY queue, id, topic",
}
"""(What has expired goes some time.)"""


def stored(sim: Sim) -> list[Any]:
    """All that the database holds in the end."""
    sim.broker.survey()  # which has all of it written
    store: Any = sim.broker.store  # type: ignore[attr-defined]
    connection = store._database.connection
    found = []
    for table, columns in TABLES.items():
        which = ALIVE.get(table, "")
        values = (sim.clock.now(),) if which else ()
        joined = "message JOIN body USING (seq)" if table == "message" else table
        found.append(list(connection.execute(f"SELECT {columns} FROM {joined} {which}", values)))
    nobodys = """SELECT count(*) FROM body WHERE seq NOT IN (SELECT seq FROM message)
                 AND seq NOT IN (SELECT seq FROM shared)"""
    assert connection.execute(nobodys).get == 0
    return found


def told(sim: Sim) -> list[Any]:
    """All that a simulation tells."""
    outbox = [(one.topic, one.id, one.body, one.at) for one in sim.outbox]
    return [sim.history(), outbox, list(sim.faults), list(sim.crash_points)]


class Watched(History):
    """One of which is kept what it came to."""

    def check(self) -> None:
        super().check()
        self.came_to = told(self.sim), stored(self.sim)


def both_ways(monkeypatch: pytest.MonkeyPatch, play: Callable[[], Any]) -> None:
    """Play it with all in the database, and as it is: both come to the same."""
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "Foreground", lambda broker: None)
        wanted = play()
    assert play() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("faults", [None, CHAOS, Faults(crashes=0.02, errors=0.02, delays=0.05)])
def test_schedules_and_events(monkeypatch: pytest.MonkeyPatch, faults: Faults | None) -> None:
    def play() -> Any:
        with Sim(application(3), seed=3, faults=faults) as sim:
            sim.run_for("45m")
            before = stored(sim)
            sim.run_for("45m")
            sim.run_until_idle()
            sim.run_for(90)
            return told(sim), before, stored(sim)

    both_ways(monkeypatch, play)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 6, 7, 8, 9, 10])
@pytest.mark.parametrize("rates", [None, CHAOS], ids=["quiet", "chaos"])
def test_random_applications(
    monkeypatch: pytest.MonkeyPatch, seed: int, rates: Faults | None
) -> None:
    def play() -> Any:
        history = Watched(seed)
        with on_trial(Trial(seed) if rates is None else Trial(seed, rates)):
            history.play()
        return history.came_to

    both_ways(monkeypatch, play)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_workflows(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    both_ways(monkeypatch, lambda: live(seed))


def test_what_is_kept_is_written_when_somebody_looks() -> None:
    """Each of the looks of an operator sees a message that waits, and one that is held."""
    registry = Registry()
    seen: list[Any] = []

    @task(registry=registry, queue="work", policy=FIXED, result="1d")
    def look() -> None:
        broker = sim.broker
        seen.append(broker.counts("work").in_flight)
        seen.append(broker.counts("later").delayed)
        seen.append([one.id for one in broker.peek("later")])
        seen.append(broker.count_records("run"))
        seen.append(len(broker.list_records(RecordQuery(kind="run")).records))

    @task(registry=registry, queue="later", policy=FIXED, result="1d")
    def later() -> None: ...

    with Sim(registry) as sim:
        sim.run_for(1)
        look.delay()
        later.options(delay=60, id="one").delay()
        sim.run_for(1)
        assert seen == [1, 1, ["one"], {"waiting": 2}, 2]
        sim.run_until_idle()
        assert sim.timeline("later") == "1 min 1 s done"


def test_what_is_undone_in_the_database_is_not_kept() -> None:
    """Within a transaction of the broker's own, everything is done there."""
    registry = Registry()

    @task(registry=registry, queue="work", policy=FIXED, result="1d")
    def work() -> None: ...

    def fails() -> None:
        work.options(id="undone").delay()
        sim.broker.hold("key", "holder", 60.0)
        raise LookupError

    with Sim(registry) as sim:
        sim.run_for(1)
        work.options(id="before").delay()
        with pytest.raises(LookupError):
            sim.broker.together(fails)
        assert list(sim.broker.records("run", ["before", "undone"])) == ["before"]
        assert sim.broker.holders(["key"]) == {}
        work.options(id="undone").delay()
        sim.run_until_idle()
        assert [one.id for one in sim.attempts] == ["before", "undone"]


def test_a_key_is_held_until_its_time_is_over() -> None:
    with Sim(application(0)) as sim:
        hold = sim.broker.hold
        assert hold("one", "a", 10.0)
        assert not hold("one", "b", 10.0)
        sim.broker.survey()  # what the database says of it is not all that was known
        assert not hold("one", "b", 10.0)
        sim.advance(10)
        assert hold("one", "b", 10.0)
        assert not hold("one", "a", 10.0)
        assert sim.broker.holders(["one"]) == {"one": "b"}


def test_much_is_left_to_the_database() -> None:
    """More messages than are looked through here, and more of one moment than were there before."""
    registry = Registry()
    order: list[int] = []

    @task(registry=registry, queue="work", policy=FIXED)
    def work(number: int) -> None:
        order.append(number)

    with Sim(registry) as sim:
        sim.run_for(1)
        for number in range(150):
            work.delay(number)
        assert sim.broker.counts("work").visible == 150
        for number in range(150, 160):
            work.delay(number)
        sim.run_until_idle()
        for number in range(160, 170):
            work.delay(number)
        sim.run_until_idle()
        assert order == list(range(170))


def test_a_simulation_that_is_closed_answers_nothing() -> None:
    registry = Registry()

    @task(registry=registry, queue="work", policy=FIXED, result="1d")
    def work() -> None: ...

    with Sim(registry) as sim:
        work.options(id="one").delay()
        sim.run_until_idle()
        assert sim.broker.records("run", ["one"])
    with pytest.raises(BrokerUnavailable):
        sim.broker.records("run", ["one"])


def test_little_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else none of it would be worth anything: of what an hour of ticks does, the database sees
    what is left of it."""
    written: list[Any] = []
    write = Foreground._write

    def note(self: Foreground, kept: Any) -> None:
        written.append(kept)
        write(self, kept)

    monkeypatch.setattr(Foreground, "_write", note)
    with Sim(application(0)) as sim:
        sim.run_for("1h")
        written.clear()
        sim.run_for("3h")
        assert len(sim.attempts) > 240
        assert not any(one.messages for one in written)
        assert len([one for one in written if any(one)]) < 60


def test_what_went_when_it_was_over_is_not_there_when_the_clock_is_set_back() -> None:
    with Sim(application(0)) as sim:
        broker, clock, start = sim.broker, sim.clock, sim.clock.now()
        put = Put(kind="kind", key="key", value="", expected=0, expires_at=start + 5)
        version = broker.apply([Change(records=[put])])[0].versions[0]
        broker.list_records(RecordQuery(kind="kind"))
        assert list(broker.records("kind", ["key"])) == ["key"]
        clock.set(start + 6)
        broker.upkeep()
        clock.set(start)
        assert not broker.records("kind", ["key"])
        again = Put(kind="kind", key="key", value="", expected=version)
        assert isinstance(broker.apply([Change(records=[again])])[0].refused, VersionConflict)


def test_a_receive_of_nothing_is_checked() -> None:
    with Sim(application(0)) as sim, pytest.raises(LimitExceeded):
        sim.broker.receive("work", visibility=-1.0, holding=Holding())
