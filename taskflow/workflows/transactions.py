"""Steps whose effect is in a database, and there once: in the broker's file, or in the user's."""

from typing import Any

from taskflow.broker.own_sql import Sql
from taskflow.errors import WorkflowError
from taskflow.sealing.sealed_broker import codec_of
from taskflow.workflows.markers import markers_of
from taskflow.workflows.step_run import StepRun

LONGEST = 1.0
"""Seconds that a step may keep everybody from writing into the broker's file."""


def run_transaction(step: StepRun) -> Any:
    """Run a step's function with SQL in the broker's file, in the transaction that keeps it."""
    if step.over:
        return step.answer()
    journal = step.journal
    clock, within = journal.broker.clock, getattr(journal.broker, "within", None)
    if within is None:
        raise WorkflowError(
            "this broker has no file for tables of the application: one over one file has (of "
            "several each run lies in another, and would go without them to another still); "
            "ctx.transaction_on(database, …) is for a database of its own"
        )
    step.prepare()
    failures: list[Exception] = []

    def work(sql: Sql) -> Any:
        began = clock.elapsed()
        step.enter()
        try:
            value = step.call(sql)
            if (took := clock.elapsed() - began) > LONGEST:
                raise WorkflowError(
                    f"step {step.id!r} kept the broker from writing for {took:.1f} s; "
                    f"{LONGEST:g} s are allowed: nothing of it was done"
                )
        except Exception as error:
            failures.append(error)
            raise
        finally:
            step.end()
        journal.within = True
        try:
            return step.returned(value)
        finally:
            journal.within = False

    try:
        with journal.lock:  # before the broker's, as by who keeps another step meanwhile
            return within(work)
    except Exception as error:
        if not failures:
            journal.break_off(error)  # what it has kept is not there
            raise
        if (reason := step.failed(error)) is error:
            raise
        raise reason from error


def run_marked(step: StepRun, database: Any) -> Any:
    """Run a step's function in a transaction of the user's database that also says it is done."""
    if step.over:
        return step.answer()
    markers, codec = markers_of(database), codec_of(step.journal.broker)
    step.prepare()
    step.enter()
    try:
        with markers.begin() as connection:
            result = markers.find(connection, step.key)
            if result is None:
                result = step.encode(step.call(connection))
                if step.sends:
                    raise WorkflowError(
                        f"step {step.id!r} sends within transaction_on, which would be lost by a "
                        "crash: send when the step is done"
                    )
                kept = result if codec is None else codec.seal(result)
                markers.add(connection, step.key, kept, step.journal.broker.clock.now())
            elif codec is not None:
                result = codec.open(result.decode()).encode()
    except Exception as error:
        if (reason := step.failed(error)) is error:
            raise
        raise reason from error
    finally:
        step.end()
    return step.keep(result)
