"""What a step is: run once, kept, retried, refused."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from taskflow import (
    AsyncRun,
    Broker,
    Registry,
    Reject,
    Retry,
    Run,
    Worker,
    WorkflowResult,
    publish,
    task,
    workflow,
)
from taskflow.errors import (
    ConfigError,
    RegistrationError,
    RunFailed,
    StepFailed,
    StepInterrupted,
    WorkflowError,
)
from taskflow.testing import ManualClock
from tests.taskflow.workflows.conftest import Go

pytestmark = pytest.mark.usefixtures("taskflow_broker")


@dataclass
class Charge:
    id: str
    cents: int


class Declined(Exception):
    pass


calls: list[Any] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def charge(cents: int) -> Charge:
    calls.append(("charge", cents))
    return Charge("ch_1", cents)


def refund(what: Charge) -> str:
    assert isinstance(what, Charge)
    calls.append(("refund", what.id))
    return f"refunded {what.id}"


def decline(cents: int) -> Charge:
    calls.append(("decline", cents))
    raise Declined("no funds")


def one(registry: Registry, function: Callable[..., Any], **options: Any) -> Any:
    """A workflow of a function of the test."""
    return workflow(registry=registry, queue="flows", name="flow", **options)(function)


def start(registry: Registry, broker: Broker, function: Callable[..., Any], **options: Any) -> Any:
    made = one(registry, function, **options)
    Worker(broker, registry=registry)
    return made.delay()


def test_a_step_is_run_once_and_answers_its_annotated_type(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    seen: list[Charge] = []

    def flow(ctx: Run) -> str:
        made = ctx.step(charge, 100)
        seen.append(made)
        ctx.sleep(60)
        return ctx.step(refund, made)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) == "refunded ch_1"
    assert calls == [("charge", 100), ("refund", "ch_1")]
    assert seen == [Charge("ch_1", 100)] * 2  # the code between steps is run again


def test_steps_of_one_name_are_numbered_or_have_keys(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> None:
        for cents in (1, 2):
            ctx.step(charge, cents)
        for cents in (3, 4):
            ctx.options(key=f"sku {cents}").step(charge, cents)
        ctx.options(name="extra").step(partial(charge, 5))

    run = start(taskflow_registry, taskflow_broker, flow)
    go()
    assert [step.id for step in run.tree().steps] == [
        "charge",
        "charge#2",
        "charge[sku 3]",
        "charge[sku 4]",
        "extra",
    ]


def test_a_failure_that_the_code_goes_on_from_is_kept(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    caught: list[StepFailed] = []

    def flow(ctx: Run) -> str:
        try:
            ctx.step(decline, 5)
        except StepFailed as failed:
            caught.append(failed)
            ctx.sleep(9)
            return ctx.step(refund, Charge("ch_2", 5))
        return "not declined"

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) == "refunded ch_2"
    assert calls == [("decline", 5), ("refund", "ch_2")]
    first, again = caught
    assert isinstance(first.__cause__, Declined)
    for failed in (first, again):
        assert failed.is_a(Declined)
        assert failed.is_a(Exception)
        assert not failed.is_a(ValueError)
        assert failed.error.message == "no funds"


def test_a_failure_that_leaves_the_function_is_tried_again_with_the_run(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> None:
        ctx.step(charge, 1)
        ctx.step(decline, 5)

    run = start(taskflow_registry, taskflow_broker, flow, retries=2)
    go(advance=True)
    assert calls == [("charge", 1), *[("decline", 5)] * 3]
    assert run.state == "failed"
    with pytest.raises(RunFailed, match="Declined: no funds"):
        run.get(0)


def test_a_kept_failure_that_is_raised_again_is_the_end(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> None:
        try:
            ctx.step(decline, 5)
        except StepFailed:
            ctx.step(charge, 1)
            raise

    run = start(taskflow_registry, taskflow_broker, flow, retries=5)
    go(advance=True)
    assert calls == [("decline", 5), ("charge", 1)]
    assert run.state == "failed"


def test_a_step_has_retries_of_its_own_and_the_run_waits_meanwhile(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> Any:
        return ctx.options(retries=3, backoff=10).step(shaky)

    def shaky() -> int:
        calls.append("shaky")
        if len(calls) < 3:
            raise Declined("once more")
        return len(calls)

    run = start(taskflow_registry, taskflow_broker, flow, retries=0)
    go()
    assert run.state == "suspended"
    assert taskflow_broker.counts("flows").in_flight == 0
    assert "step 'shaky', which failed 1 times" in str(run.tree())
    go(advance=True)
    assert run.get(0) == 3


def test_retry_and_reject_of_a_step_are_those_of_the_run(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def again() -> None:
        calls.append("again")
        raise Retry(5) if len(calls) == 1 else Reject("enough")

    def flow(ctx: Run) -> None:
        ctx.step(again)

    run = start(taskflow_registry, taskflow_broker, flow)
    runs = go(advance=True)
    assert [one.at - runs[0].at for one in runs] == [0.0, 5.0]
    assert run.error.message == "enough"


@pytest.mark.parametrize(
    ("value", "place"),
    [({"a": [1, {2j}]}, r"\['a'\]\[1\]"), (threading.Lock(), "step 'odd' returned")],
)
def test_what_json_cannot_carry_is_refused_with_its_place(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, value: Any, place: str
) -> None:
    def flow(ctx: Run) -> None:
        ctx.options(name="odd").step(lambda: value)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.attempts == 1
    with pytest.raises(RunFailed, match=place):
        run.get(0)


def test_a_mebibyte_is_kept_and_more_is_refused(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    most = taskflow_broker.max_message_bytes

    def flow(ctx: Run) -> int:
        kept = ctx.options(name="much").step(lambda: "x" * (most - 2))
        ctx.options(name="more").step(lambda: "x" * (most - 1))
        return len(kept)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert [(step.id, step.state) for step in run.tree().steps] == [("much", "done")]
    assert "step 'more' returned 1048577 bytes" in run.error.message


def test_at_most_once_is_not_begun_twice(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    class Dies(BaseException):
        pass

    def deadly() -> None:
        calls.append("deadly")
        raise Dies

    def flow(ctx: Run) -> str:
        try:
            ctx.options(at_most_once=True).step(deadly)
        except StepFailed as failed:
            return str(failed.is_a(StepInterrupted))
        return "?"

    run = start(taskflow_registry, taskflow_broker, flow, retries=3)
    go(advance=True)
    assert calls == ["deadly"]
    assert run.get(0) == "True"


def test_the_key_is_the_same_in_each_attempt_and_another_for_each_step(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    keys: list[str] = []

    def flow(ctx: Run) -> None:
        def pay(fails: bool) -> None:
            keys.append(ctx.key)
            if fails and len(keys) < 3:
                raise Declined

        ctx.step(pay, False)
        ctx.options(retries=5).step(pay, True)
        with pytest.raises(WorkflowError, match="of a step"):
            assert ctx.key

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) is None
    assert keys == [f"{run.id}:pay", f"{run.id}:pay#2", f"{run.id}:pay#2"]


def test_what_a_step_sends_goes_with_it_and_not_with_a_failure(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    got: list[Any] = []
    taskflow_registry.subscribe("paid", queue="audit")(got.append)

    def pay(fails: bool) -> None:
        publish("paid", fails)
        if fails:
            raise Declined

    def flow(ctx: Run) -> None:
        ctx.step(pay, False)
        with pytest.raises(StepFailed):
            ctx.step(pay, True)
        ctx.sleep(5)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.state == "done"
    assert got == [False]


def test_what_the_code_sends_between_steps_is_sent_once(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    got: list[Any] = []
    taskflow_registry.subscribe("paid", queue="audit")(got.append)

    @task(registry=taskflow_registry, queue="flows", name="mail")
    def mail(number: int) -> None:
        got.append(f"mail {number}")

    def flow(ctx: Run) -> str:
        publish("paid", 1)
        sent = mail.options(result="1h").delay(1)
        keyed = mail.options(key="only").delay(2)
        ctx.sleep(5)
        publish("paid", 2)
        ctx.sleep(5)
        return f"{sent.id} {keyed.id}"

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert sorted(map(str, got)) == ["1", "2", "mail 1", "mail 2"]
    assert [step.id for step in run.tree().steps] == [
        "send:paid",
        "send:mail",
        "send:mail#2",
        "sleep",
        "send:paid#2",
        "sleep#2",
    ]
    assert run.get(0).startswith(f"{run.id}:mail:1 ")


def test_a_connection_of_the_users_is_for_steps(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @task(registry=taskflow_registry, queue="flows", name="mail")
    def mail() -> None: ...

    def flow(ctx: Run) -> str:
        for send in (
            lambda: publish("paid", 1, connection=object()),
            lambda: mail.options(connection=object()).delay(),
        ):
            with pytest.raises(
                WorkflowError, match=r"do it in a step, such as ctx\.transaction_on"
            ):
                send()
        return ctx.step(join)

    def join() -> str:
        with pytest.raises(
            ConfigError, match="within a transaction of yours"
        ):  # it may: SQLite not
            publish("paid", 1, connection=object())
        return "joined"

    run = start(taskflow_registry, taskflow_broker, flow)
    go()
    assert run.get(0) == "joined"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_step_has_no_steps(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, asynchronous: bool
) -> None:
    def flow(ctx: Run) -> None:
        ctx.options(name="outer").step(lambda: ctx.step(charge, 1))

    async def coroutine(ctx: AsyncRun) -> None:
        async def outer() -> None:
            await ctx.step(charge, 1)

        await ctx.step(outer)

    run = start(taskflow_registry, taskflow_broker, coroutine if asynchronous else flow, retries=0)
    go(advance=True)
    assert "step 'outer' is run, and a step has no steps" in run.error.message
    assert calls == []


def test_another_thread_and_a_returned_function_have_no_steps(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    said: list[str] = []
    kept: list[Run] = []

    def elsewhere(ctx: Run) -> None:
        try:
            ctx.step(charge, 1)
        except WorkflowError as error:
            said.append(str(error))

    def flow(ctx: Run) -> None:
        thread = threading.Thread(target=elsewhere, args=(ctx,))
        thread.start()
        thread.join()
        kept.append(ctx)

    start(taskflow_registry, taskflow_broker, flow)
    go()
    with pytest.raises(WorkflowError, match="has returned"):
        kept[0].step(charge, 1)
    assert "belongs to the thread" in said[0]
    assert calls == []


def test_two_functions_of_one_name_are_refused(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def other(cents: int) -> None:
        raise AssertionError

    other.__name__ = "charge"

    def flow(ctx: Run) -> None:
        ctx.step(charge, 1)
        ctx.step(other, 2)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert "two steps are called 'charge'" in run.error.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "a step's name is 'a b'"),
        ({"name": "send:x"}, "a step's name is 'send:x'"),
        ({"key": ""}, "a step's key is ''"),
        ({"key": "a\n"}, "characters that can be printed"),
        ({"at_most_once": True, "retries": 1}, "at most once, or is retried"),
        ({"retries": -1}, "retries is -1"),
    ],
)
def test_odd_options_of_a_step_are_refused(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    go: Go,
    options: dict[str, Any],
    message: str,
) -> None:
    def flow(ctx: Run) -> None:
        with pytest.raises(ValueError, match=message):
            ctx.options(**options)
        with pytest.raises(ValueError, match="has no name"):
            ctx.step(lambda: 1)

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) is None


def test_a_caught_suspension_is_a_suspension_all_the_same(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, caplog: pytest.LogCaptureFixture
) -> None:
    def flow(ctx: Run) -> str:
        try:
            ctx.sleep(5)
        except Exception:
            raise AssertionError from None
        except BaseException:
            calls.append("caught")
        return "done"

    run = start(taskflow_registry, taskflow_broker, flow)
    go()
    assert run.state == "suspended"
    assert "its code has caught that" in caplog.text
    go(advance=True)
    assert run.get(0) == "done"
    assert calls == ["caught"]


def test_values_are_the_same_each_time_and_kept_before_an_effect(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    seen: list[Any] = []

    def pay(key: str) -> None:
        seen.append(key)
        if len(seen) == 1:
            raise Declined

    def flow(ctx: Run) -> list[Any]:
        values = [ctx.now(), str(ctx.uuid()), ctx.random(), str(ctx.uuid())]
        ctx.step(pay, str(values[1]))
        ctx.sleep(60)
        return [*values, ctx.now()]

    run = start(taskflow_registry, taskflow_broker, flow)
    began = taskflow_clock.now()
    go(advance=True)
    now, uuid, number, other, later = run.get(0)
    assert seen == [uuid, uuid]
    assert now == began
    assert later >= began + 60
    assert uuid != other
    assert 0 <= number < 1


def test_ten_thousand_steps_warn_and_fifty_thousand_are_the_end(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    go: Go,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from taskflow.workflows import journal

    monkeypatch.setattr(journal, "MANY", 10)
    monkeypatch.setattr(journal, "MOST", 20)

    def flow(ctx: Run) -> None:
        while True:
            ctx.now()

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert "has 10 steps" in caplog.text
    assert "20 steps, as many as a run may have" in run.error.message
    assert "ctx.restart" in run.error.message


def test_restart_begins_anew_under_the_same_id(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run, number: int = 1) -> int:
        ctx.step(charge, number)
        if number < 4:
            ctx.restart(number + 1)
        return number

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) == 4
    assert calls == [("charge", number) for number in (1, 2, 3, 4)]
    assert [step.id for step in run.tree().steps] == ["charge"]


def test_side_by_side_in_threads(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    both = threading.Barrier(2)

    @task(registry=taskflow_registry, queue="flows", name="pack")
    def pack(number: int) -> int:
        return number * 10

    def meet(number: int) -> int:
        both.wait(30)
        calls.append(number)
        return number

    def flow(ctx: Run) -> list[Any]:
        return ctx.gather((meet, 1), pack.s(3), (meet, 2))

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) == [1, 30, 2]
    assert sorted(calls) == [1, 2]


def test_one_of_several_fails_when_all_have_ended(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> str:
        try:
            ctx.gather((decline, 1), (charge, 2))
        except StepFailed as failed:
            ctx.sleep(1)
            return failed.step
        return "?"

    run = start(taskflow_registry, taskflow_broker, flow)
    go(advance=True)
    assert run.get(0) == "decline"
    assert sorted(calls) == [("charge", 2), ("decline", 1)]


def test_gather_takes_steps_and_calls(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    def flow(ctx: Run) -> None:
        with pytest.raises(TypeError, match="gather takes"):
            ctx.gather(charge)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="is no task"):
            ctx.map(charge, [1])  # type: ignore[call-overload]

    assert_done(start(taskflow_registry, taskflow_broker, flow), go)


def assert_done(run: WorkflowResult[Any], go: Go) -> None:
    go(advance=True)
    run.get(0)


def test_options_that_no_workflow_may_have(taskflow_registry: Registry) -> None:
    made = one(taskflow_registry, lambda_of_nothing)
    with pytest.raises(ValueError, match="always keeps its run"):
        made.options(result=None)
    with pytest.raises(ValueError, match=r"id is 'x\^1'; a workflow's has no \^"):
        made.options(id="x^1")


def lambda_of_nothing(ctx: Run) -> None:
    """Does nothing."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 0}, "version is 0"),
        ({"keep": None}, "keep is None"),
        ({"on_cancel": len}, "on_cancel is <built-in function len>"),
        ({"on": {"parcel.shipped": ""}}, "on= has '' for 'parcel.shipped'"),
        ({"result": "1d"}, "workflow does not know 'result'; it knows queue"),
    ],
)
def test_odd_options_of_the_decorator_are_refused(
    taskflow_registry: Registry, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RegistrationError, match=message):
        one(taskflow_registry, lambda_of_nothing, **options)


def test_a_fifo_queue_has_no_limits_and_cleans_up_after_nothing(
    taskflow_registry: Registry,
) -> None:
    with pytest.raises(RegistrationError, match=r"flow has limits and the FIFO queue"):
        workflow(registry=taskflow_registry, queue="flows.fifo", name="flow", limit=2)(
            lambda_of_nothing
        )
    undo = task(registry=taskflow_registry, queue="undo.fifo", name="undo")(len_of)
    with pytest.raises(RegistrationError, match=r"on_cancel is undo, of the FIFO queue"):
        one(taskflow_registry, lambda_of_nothing, on_cancel=undo)


def len_of(text: str) -> int:
    """Its length."""
    return len(text)


def test_a_workflow_asks_for_its_context(taskflow_registry: Registry) -> None:
    def without(order: str) -> None: ...

    async def other(ctx: Run) -> None: ...

    with pytest.raises(RegistrationError, match=r"is a `def` workflow, .* `ctx: Run`"):
        one(taskflow_registry, without)
    with pytest.raises(RegistrationError, match=r"`ctx: AsyncRun`; not Run"):
        one(taskflow_registry, other)
