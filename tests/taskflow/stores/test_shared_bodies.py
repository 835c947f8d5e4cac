"""A body that several queues hold is stored once, and goes when none holds it any more."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow.broker import Finish, QueueSettings
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.intake import HOUSEKEEPING
from taskflow.message import Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

QUEUES = ["a", "b", "c"]


class Shared:
    """A broker in memory with a topic that three queues subscribe to, and a look at its rows."""

    def __init__(self, fifo: bool = False) -> None:
        self.store = SqliteStore(None, durable=False)
        self.clock = ManualClock()
        self.broker = StoredBroker(self.store, clock=self.clock)
        end = ".fifo" if fifo else ""
        self.topic = f"made{end}"
        self.queues = [f"{name}{end}" for name in QUEUES]
        self.broker.create_topic(self.topic)
        self.broker.create_queue(f"dead{end}")
        for name in self.queues:
            dead = QueueSettings(dead_letter_queue=f"dead{end}", max_receives=3, retention=600)
            self.broker.create_queue(name, dead)
            self.broker.subscribe(self.topic, name)
        self._fifo = fifo

    def publish(self, *ids: str) -> None:
        group = "g" if self._fifo else None
        self.broker.publish(
            self.topic,
            [
                Message(
                    id, f"of {id}", {"kind": "made"}, group=group, deduplication_id=group and id
                )
                for id in ids
            ],
        )

    def stored(self) -> tuple[int, int, int]:
        """How many message rows, bodies and notes of shared ones there are."""
        return tuple(
            self.store._database.connection.execute(f"SELECT count(*) FROM {table}").get
            for table in ("message", "body", "shared")
        )

    def acknowledge(self, queue: str) -> list[str]:
        found = self.broker.receive(queue, limit=10)
        assert all(self.broker.delete([Finish(one) for one in found]))
        return [one.body for one in found]

    def sweep(self) -> None:
        """As the upkeep does: twice, since it goes round."""
        for _ in range(2):
            self.broker.upkeep()


@pytest.fixture(params=[False, True], ids=["standard", "fifo"])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    made = Shared(request.param)
    yield made
    made.broker.close()


def test_a_publish_to_many_queues_stores_its_body_once(shared: Shared) -> None:
    shared.publish("1", "2")
    assert shared.stored() == (6, 2, 2)
    for queue in shared.queues:
        assert [one.body for one in shared.broker.peek(queue)] == ["of 1", "of 2"]


def test_a_publish_to_one_queue_writes_no_row_more(shared: Shared) -> None:
    for one in shared.broker.subscriptions(shared.topic)[1:]:
        shared.broker.unsubscribe(one.id)
    shared.publish("1", "2")
    assert shared.stored() == (2, 2, 0)
    shared.acknowledge(shared.queues[0])
    assert shared.stored() == (0, 0, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_whoever_acknowledges_first_takes_nothing_from_the_others(
    shared: Shared, order: tuple[int, ...]
) -> None:
    shared.publish("1")
    for left, index in zip((2, 1, 0), order, strict=True):
        assert shared.acknowledge(shared.queues[index]) == ["of 1"]
        shared.sweep()
        assert shared.stored() == (left, min(left, 1), min(left, 1))


def test_a_purge_and_a_deleted_queue_take_nothing_from_the_others(shared: Shared) -> None:
    shared.publish("1")
    first, second, third = shared.queues
    shared.broker.purge(first)
    shared.broker.delete_queue(second)
    shared.sweep()
    assert shared.acknowledge(third) == ["of 1"]
    shared.sweep()
    assert shared.stored() == (0, 0, 0)


def test_a_dead_letter_has_a_body_of_its_own(shared: Shared) -> None:
    shared.publish("1")
    first, second, third = shared.queues
    (held,) = shared.broker.receive(first)
    assert shared.broker.dead_letter([(held, "{}")]) == [True]
    shared.acknowledge(second)
    shared.acknowledge(third)
    shared.sweep()
    assert shared.stored() == (1, 1, 0)
    dead = shared.broker.receive(f"dead{shared.topic[4:]}")
    assert [one.body for one in dead] == ["of 1"]
    shared.broker.give_back(dead)
    assert shared.broker.redrive(f"dead{shared.topic[4:]}") == 1
    assert shared.acknowledge(first) == ["of 1"]
    assert shared.stored() == (0, 0, 0)


def test_a_queue_that_holds_it_already_shares_nothing_new(shared: Shared) -> None:
    shared.publish("1")
    shared.acknowledge(shared.queues[0])
    before = shared.stored()
    shared.clock.advance(400)  # past the deduplication window
    shared.publish("1")
    messages, bodies, _ = shared.stored()
    assert (messages, bodies) == (before[0] + 1, before[1] + 1)
    assert shared.acknowledge(shared.queues[0]) == ["of 1"]
    for queue in shared.queues[1:]:
        assert shared.acknowledge(queue) == ["of 1"]
    shared.sweep()
    assert shared.stored() == (0, 0, 0)


def test_what_is_past_its_retention_goes_too(shared: Shared) -> None:
    shared.publish("1")
    shared.clock.advance(601)
    for _ in range(3):
        shared.broker.upkeep()
    assert shared.stored() == (0, 0, 0)


def test_queues_that_get_it_differently_do_not_share(shared: Shared) -> None:
    first, second, third = shared.broker.subscriptions(shared.topic)
    shared.broker.put_subscription(replace(first, raw=False))
    shared.broker.put_subscription(replace(second, filter_policy='{"kind": ["none"]}'))
    shared.publish("1")
    assert shared.stored() == (2, 2, 0)
    assert shared.acknowledge(third.queue) == ["of 1"]
    (envelope,) = shared.acknowledge(first.queue)
    assert json.loads(envelope)["Message"] == "of 1"
    assert shared.stored() == (0, 0, 0)


def test_queues_whose_filters_agree_share(shared: Shared) -> None:
    first, second, _ = shared.broker.subscriptions(shared.topic)
    shared.broker.put_subscription(replace(first, filter_policy='{"kind": ["made"]}'))
    shared.broker.put_subscription(replace(second, filter_policy='{"kind": ["none"]}'))
    shared.publish("1")
    assert shared.stored() == (2, 1, 1)


@pytest.mark.slow
def test_a_steady_stream_leaves_a_bounded_number_of_bodies() -> None:
    """Nobody does any upkeep but who publishes; one queue keeps some messages for ever."""
    shared = Shared()
    shared.publish(*[f"old-{n}" for n in range(50)])
    first, second, slow = shared.queues
    for queue in (first, second):
        while shared.acknowledge(queue):
            pass
    most = 0
    for n in range(10 * HOUSEKEEPING):
        shared.publish(f"new-{n}")
        for queue in (first, second):
            shared.acknowledge(queue)
        shared.broker.purge(slow, [f"new-{n}"])
        most = max(most, shared.stored()[1])
    assert most <= 50 + 3 * HOUSEKEEPING
    shared.broker.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["publish", "acknowledge", "bury", "purge", "redrive", "upkeep"]),
            st.integers(0, 2),
        ),
        max_size=30,
    ),
    st.booleans(),
)
@pytest.mark.slow
def test_every_message_keeps_its_body_and_no_body_stays_behind(
    steps: list[tuple[str, int]], fifo: bool
) -> None:
    shared = Shared(fifo)
    dead = f"dead{shared.topic[4:]}"
    for number, (step, index) in enumerate(steps):
        queue = shared.queues[index]
        if step == "publish":
            shared.publish(str(number), f"{number}x")
        elif step == "acknowledge":
            shared.broker.delete([Finish(one) for one in shared.broker.receive(queue)])
        elif step == "bury":
            shared.broker.dead_letter([(one, "{}") for one in shared.broker.receive(queue)])
        elif step == "purge":
            shared.broker.purge(queue, limit=1)
        elif step == "redrive":
            shared.broker.redrive(dead, limit=1)
        else:
            shared.broker.upkeep(2)
        for name in (*shared.queues, dead):
            counts = shared.broker.counts(name)
            held = shared.broker.peek(name)
            assert len(held) == counts.visible + counts.in_flight
            assert all(one.body == f"of {one.id}" for one in held)
    for name in (*shared.queues, dead):
        shared.broker.purge(name)
    while shared.broker.upkeep(10):
        pass
    shared.sweep()
    assert shared.stored() == (0, 0, 0)
    shared.broker.close()


# ---- what a hostile review found ----------------------------------------------------------------
def test_order_holds_in_a_queue_that_gets_what_others_filter() -> None:
    """Numbers rise with the place in the publish, whichever queue saw a message first."""
    shared = Shared(fifo=True)
    first, *_ = shared.broker.subscriptions(shared.topic)
    shared.broker.put_subscription(replace(first, filter_policy='{"kind": ["b"]}'))
    messages = [
        Message(str(n), f"of {n}", {"kind": kind}, group="g", deduplication_id=str(n))
        for n, kind in enumerate("abab")
    ]
    shared.broker.publish(shared.topic, messages)
    assert shared.acknowledge(first.queue) == ["of 1", "of 3"]
    for queue in shared.queues[1:]:
        assert shared.acknowledge(queue) == ["of 0", "of 1", "of 2", "of 3"]
    shared.broker.close()


def test_a_message_held_already_takes_no_body_from_another() -> None:
    shared = Shared()
    first, second, third = shared.broker.subscriptions(shared.topic)
    shared.broker.unsubscribe(third.id)
    shared.broker.put_subscription(replace(first, filter_policy='{"kind": ["b"]}'))
    shared.broker.publish(shared.topic, [Message("1", "of 1", {"kind": "a"})])
    both = [Message("1", "of 1", {"kind": "a"}), Message("2", "of 2", {"kind": "b"})]
    shared.broker.publish(shared.topic, both)
    assert shared.acknowledge(first.queue) == ["of 2"]
    assert shared.acknowledge(second.queue) == ["of 1", "of 2"]
    shared.broker.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1, max_size=6),
        max_size=6,
    ),
    st.lists(st.sampled_from(["", "a", "ab", "bc"]), min_size=3, max_size=3),
    st.booleans(),
)
@pytest.mark.slow
def test_whatever_filters_and_repeats_each_queue_gets_all_of_its_own_in_order(
    publishes: list[list[tuple[int, str]]], wants: list[str], fifo: bool
) -> None:
    shared = Shared(fifo)
    expected: dict[str, list[str]] = {name: [] for name in shared.queues}
    for one, kinds in zip(shared.broker.subscriptions(shared.topic), wants, strict=True):
        if kinds:
            policy = json.dumps({"kind": list(kinds)})
            shared.broker.put_subscription(replace(one, filter_policy=policy))
    kinds_of = dict(zip(shared.queues, wants, strict=True))
    topic_knows: set[str] = set()
    for batch in publishes:
        messages = [
            Message(
                f"{n}{kind}",
                f"of {n}{kind}",
                {"kind": kind},
                group="g" if fifo else None,
                deduplication_id=f"{n}{kind}" if fifo else None,
            )
            for n, kind in batch
        ]
        shared.broker.publish(shared.topic, messages)
        for message in messages:
            if message.id in topic_knows:
                continue
            topic_knows.add(message.id)
            for name, kinds in kinds_of.items():
                if not kinds or message.id[-1] in kinds:
                    expected[name].append(f"of {message.id}")
    for name in shared.queues:
        found: list[str] = []
        while batch_found := shared.acknowledge(name):
            found += batch_found
        assert found == expected[name]
    shared.sweep()
    assert shared.stored() == (0, 0, 0)
    shared.broker.close()
