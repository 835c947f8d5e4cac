"""Limits and rates over all workers: of a task, and for each value of its arguments."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from taskflow import Broker, Registry, Retry, Worker, chain, group, send_task, task
from taskflow.broker.settings import Holding
from taskflow.errors import ConfigError, RegistrationError
from taskflow.message import Message
from taskflow.testing import ManualClock
from tests.taskflow.worker.pools import WAIT, Watch, running

Drain = Callable[[], int]
Later = Callable[[float], int]


class Meter:
    """A task's body that counts how many of a kind run at once, and goes on when it is told."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.ended = 0
        self.go_on = False

    def run(self, kind: str) -> None:
        with self.changed:
            self.now[kind] += 1
            self.most[kind] = max(self.most[kind], self.now[kind])
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.go_on, WAIT)
            self.now[kind] -= 1
            self.ended += 1
            self.changed.notify_all()

    def until(self, happened: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(happened, WAIT)

    def release(self) -> None:
        with self.changed:
            self.go_on = True
            self.changed.notify_all()


def test_so_many_run_at_once_in_all_pools(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch, taskflow_clock: ManualClock
) -> None:
    meter = Meter()
    limited = task(registry=taskflow_registry, name="pay", limit=2)(lambda: meter.run("pay"))
    free = task(registry=taskflow_registry, name="free")(lambda: meter.run("free"))
    Worker(taskflow_broker, registry=taskflow_registry).declare()
    limited.send_many([()] * 5)
    free.send_many([()] * 3)
    other = Watch(taskflow_clock)
    with (
        running(taskflow_broker, taskflow_registry, watch),
        running(taskflow_broker, taskflow_registry, other),
    ):
        meter.until(lambda: meter.now.total() == 5)
        meter.release()
        meter.until(lambda: meter.ended == 8)
    assert meter.most == {"pay": 2, "free": 3}


@dataclass
class Order:
    """An argument that has a customer."""

    customer: str


def holding(registry: Registry) -> Holding:
    return Holding(limits=registry.limits)


def slots(broker: Broker, registry: Registry) -> list[str | None]:
    """Where what may start now counts."""
    return [one.slot for one in broker.receive("default", limit=20, holding=holding(registry))]


def test_each_value_of_an_argument_has_its_own_limit(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    @task(registry=taskflow_registry, name="bill", limit=("customer", 2), result="1h")
    def bill(amount: int, customer: int | str = "nobody") -> None: ...

    drain()
    for customer in (1, 1, 1, "1", 2, "é\n"):
        bill.delay(5, customer)
    bill.delay(5)
    bill.send_many([(5, 2), (5, 2), {"amount": 1, "customer": 3}])
    found = Counter(slots(taskflow_broker, taskflow_registry))
    assert found == {
        "bill\n1": 2,
        "bill\n2": 2,
        "bill\n3": 1,
        "bill\nnobody": 1,
        "bill\n\\xe9\\n": 1,
    }


def test_several_arguments_and_what_json_makes_of_them(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    @task(registry=taskflow_registry, name="t", limit=(("order", "kind"), 1))
    def t(order: Order, *, kind: str) -> None: ...

    drain()
    t.delay(Order("c"), kind="a")
    t.delay(Order("c"), kind="a")
    t.delay(Order("c"), kind="b")
    assert slots(taskflow_broker, taskflow_registry) == [
        't\n[{"customer":"c"},"a"]',
        't\n[{"customer":"c"},"b"]',
    ]


def test_all_of_them_run_in_the_end(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    runs = []

    @task(registry=taskflow_registry, name="bill", limit=("customer", 1), result="1h")
    def bill(customer: str) -> str:
        runs.append(customer)
        return customer

    drain()
    bill.delay("a")
    send_task("bill", ["b"])
    taskflow_broker.send("default", [Message("1", '{"task":"bill","args":["c"]}')])
    chain(bill.si("d"), bill.s()).delay()
    group([bill.s("e"), bill.s("f")]).delay()
    while drain():
        pass
    assert sorted(runs) == ["a", "b", "c", "d", "d", "e", "f"]
    assert taskflow_broker.counts("default").visible == 0


def test_a_slot_is_given_once_to_a_call_without_one(
    taskflow_broker: Broker, taskflow_registry: Registry, work: Callable[[], Worker]
) -> None:
    meter = Meter()
    task(registry=taskflow_registry, name="t", limit=("x", 1))(lambda x: meter.run(str(x)))
    work().declare()
    for _ in range(3):
        send_task("t", [7])
    watch = Watch(taskflow_broker.clock)  # type: ignore[arg-type]
    with running(taskflow_broker, taskflow_registry, watch):
        meter.until(lambda: meter.now.total() == 1)
        meter.release()
        meter.until(lambda: meter.ended == 3)
    assert meter.most == {"7": 1}
    assert len(set(watch.given)) == 3  # each comes back, to take its turn


def test_a_retry_frees_its_slot_while_it_waits(
    taskflow_registry: Registry, drain: Drain, later: Later
) -> None:
    order = []

    @task(registry=taskflow_registry, limit=1, result="1h")
    def t(what: str) -> None:
        order.append(what)
        if order == ["a"]:
            raise Retry(after=60)

    drain()
    t.delay("a")
    t.delay("b")
    drain()
    assert order == ["a", "b"]
    later(60)
    assert order == ["a", "b", "a"]


def test_a_rate_of_each_value(
    taskflow_registry: Registry, taskflow_clock: ManualClock, drain: Drain, later: Later
) -> None:
    starts = []

    @task(registry=taskflow_registry, rate=("customer", "1/m"))
    def t(customer: str) -> None:
        starts.append((customer, taskflow_clock.now() - began))

    drain()
    began = taskflow_clock.now()
    for customer in "aaab":
        t.delay(customer)
    drain()
    for _ in range(12):
        later(10)
    assert starts == [("a", 0), ("b", 0), ("a", 60), ("a", 120)]


def test_a_rate_of_all_is_as_it_was(taskflow_registry: Registry) -> None:
    t = task(registry=taskflow_registry, name="t", rate="10/s", limit=("x", 1))(lambda x: None)
    assert t.target.flow is not None
    assert t.target.flow.limit == (1, None)
    (entry,) = taskflow_registry.on("default")
    assert entry.rate == 10


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"limit": 0}, "limit is 0; a whole number, 1 or more"),
        ({"limit": True}, "limit is True"),
        ({"limit": "x"}, "limit is 'x'"),
        ({"limit": ("y", 2)}, "goes by 'y'; its arguments are 'x'"),
        ({"limit": ("x",)}, "an argument's name, and how many"),
        ({"limit": ((), 1)}, "the name of an argument, or several"),
        ({"limit": ("x", 2), "rate": ("y", "1/s")}, "goes by 'x' and rate= by 'y'"),
        ({"limit": 2, "rate": ("x", "1/s")}, "goes by no argument and rate= by 'x'"),
        ({"rate": ("x", "fast")}, "rate is 'fast'"),
        ({"limit": 2, "queue": "q.fifo"}, "FIFO queue 'q.fifo'"),
    ],
)
def test_what_cannot_be_is_refused_at_import(
    taskflow_registry: Registry, options: dict[str, object], why: str
) -> None:
    with pytest.raises(RegistrationError, match=why):
        task(registry=taskflow_registry, **options)(lambda x: None)  # type: ignore[call-overload]


def test_a_key_that_is_too_long_is_refused_at_the_call(
    taskflow_registry: Registry, drain: Drain
) -> None:
    t = task(registry=taskflow_registry, name="t", limit=("x", 1))(lambda x: None)
    drain()
    with pytest.raises(ValueError, match="x of t has 300 characters as a key; 256 are allowed"):
        t.delay("x" * 300)


def test_a_worker_of_a_broker_that_holds_no_limits_does_not_start(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    work: Callable[[], Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    t = task(registry=taskflow_registry, name="t", limit=1)(lambda: None)
    work().declare()
    without = taskflow_broker.features._replace(limits=False)
    monkeypatch.setattr(taskflow_broker, "features", without)
    t.delay()  # who only sends needs none
    with pytest.raises(ConfigError, match="task t has limits over all workers, which this broker"):
        work().declare()


def test_a_key_that_cannot_be_printed_spoils_nothing(
    taskflow_broker: Broker, taskflow_registry: Registry, drain: Drain
) -> None:
    runs = []
    task(registry=taskflow_registry, name="t", limit=("x", 1))(lambda x: runs.append(x))
    drain()
    for x in ("\x01" * 200, "a", "b"):
        send_task("t", [x])
    while drain():
        pass
    assert sorted(runs) == ["\x01" * 200, "a", "b"]
    assert taskflow_broker.counts("default-dlq").visible == 0


def test_calls_that_are_replaced_pay_nothing(
    taskflow_registry: Registry, drain: Drain, later: Later
) -> None:
    runs = []

    @task(registry=taskflow_registry, key="doc", debounce="5s", rate=("doc", "1/m"))
    def index(doc: str, version: int) -> None:
        runs.append(version)

    drain()
    for version in range(30):
        index.delay("a", version)
        later(0.1)
    later(5)
    drain()
    assert runs == [29]
