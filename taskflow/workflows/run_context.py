"""What a workflow's function gets: its steps, waits and child runs."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Concatenate, Literal, NoReturn, ParamSpec, TypeVar, overload
from uuid import UUID

from taskflow.broker.own_sql import Sql
from taskflow.clock import Instant
from taskflow.durations import Duration
from taskflow.errors import WorkflowError
from taskflow.retry import RetryPolicy
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.task import TaskBase
from taskflow.workflows.durably import Durably
from taskflow.workflows.journal import Journal
from taskflow.workflows.parallel_steps import gather
from taskflow.workflows.steering import calls_of
from taskflow.workflows.step_of import StepOf
from taskflow.workflows.step_options import PLAIN, check_step_options
from taskflow.workflows.step_run import StepRun, run_step

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Run(Durably):
    """The context of a `def` workflow. What is between its steps is run again each time that the
    run goes on: whatever has an effect, or is not the same twice, belongs into a step.

    Every method that waits leaves the function by an exception that is no `Exception`: `except
    Exception` does not see it, `finally` blocks run, each time. All of them raise WorkflowError in
    another thread than the function's, and inside of a step.
    """

    thread: int = field(repr=False, default_factory=threading.get_ident)

    # ---- steps --------------------------------------------------------------------------------
    def step(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function once: what it returns is kept, with what it has sent, and answered from
        then on. A crash in between runs it again.

        The step is named by the function, and by a number when the name comes again; by
        `options(name=…, key=…)`. What it returns is JSON, and answered as its annotated type.
        Raises StepFailed with what the function raised, when its retries are over: if the code
        goes on, that is kept, too; if not, the run is tried again, and with it the step. `Retry`
        and `Reject` go through as they are.
        """
        answer: R = run_step(StepRun(self.open(), PLAIN, function, args, kwargs))
        return answer

    def options(
        self,
        *,
        name: str | None = None,
        key: object = None,
        retries: int = 0,
        backoff: float = 1.0,
        policy: RetryPolicy | None = None,
        at_most_once: bool = False,
    ) -> "StepOf":
        """The context with options for its next step: `ctx.options(retries=3).step(pay, order)`;
        for `transaction` and `transaction_on` likewise.

        `key` tells one of several steps of a name from the others, whatever their order. `retries`
        and `backoff` (seconds, doubling, full jitter), or a `policy`: the run waits meanwhile, and
        holds nothing. `at_most_once`: a step that was begun, and not seen to end, raises
        StepFailed (`is_a(StepInterrupted)`) instead of being run again. Raises ValueError for what
        cannot be.
        """
        chosen = check_step_options(
            name=name,
            key=key,
            retries=retries,
            backoff=backoff,
            policy=policy,
            timeout=None,
            at_most_once=at_most_once,
        )
        return StepOf(self.open, chosen)

    def gather(self, *parts: Call | tuple[Any, ...]) -> list[Any]:
        """Several at once: `(function, *arguments)` is a step, run in a thread of its own, and
        `task.s(…)` a child run. Answers what they return, in order. Raises as the first of them
        did that failed, when all have ended."""
        return gather(self.steering, parts)

    def transaction(
        self, function: Callable[Concatenate[Sql, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """A step in the broker's own file: `function(sql, *args)` runs `sql.execute(…)` on tables
        of yours there, and what that changes, what it returns and what it sends are kept together,
        or not at all: nothing is done twice. Nobody else writes meanwhile, so it may take a second
        at most. Raises WorkflowError on a broker without such a file (`aws://`), and what `step`
        does."""
        return StepOf(self.open, PLAIN).transaction(function, *args, **kwargs)

    def transaction_on(
        self,
        database: Any,
        function: Callable[Concatenate[Any, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """A step in a database of yours: `function(connection, *args)` in a transaction of
        `database` (an SQLAlchemy engine, or a connection of psycopg 3 that is in none), which also
        keeps in a table there (`taskflow_step`, made when missing) that the step is done: what it
        changes is not done twice, whatever the broker. It sends nothing: that would not be part of
        the transaction."""
        return StepOf(self.open, PLAIN).transaction_on(database, function, *args, **kwargs)

    # ---- waits --------------------------------------------------------------------------------
    def sleep(self, duration: Duration) -> None:
        """Wait, for years if need be: the run is in no worker meanwhile."""
        self.steering.sleep(duration)

    def sleep_until(self, moment: Instant) -> None:
        """Wait until then (epoch seconds, or a datetime with a time zone)."""
        self.steering.sleep_until(moment)

    @overload
    def wait(self, name: str, timeout: Duration | None = None) -> Any: ...
    @overload
    def wait(self, name: str, timeout: Duration | None = None, *, type: type[T]) -> T | None: ...
    def wait(self, name: str, timeout: Duration | None = None, *, type: Any = Any) -> Any:
        """What came with the signal of this name, as `type`: one that came before is taken at once.
        None when there was none in time (None: it waits for ever)."""
        return self.steering.wait(name, timeout, type)

    # ---- child runs ---------------------------------------------------------------------------
    def call(self, task: TaskBase[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a task, or a workflow, as a run of its own, and wait for what it returns. Raises
        RunFailed, RunCancelled or RunExpired as it ended."""
        task.parameters.check(task.name, args, kwargs)
        (end,) = self.steering.runs(f"call:{task.name}", [task.s(*args, **kwargs)], alone=True)
        answer: R = end.value(task.parameters.returns)
        return answer

    @overload
    def map(
        self,
        task: TaskBase[..., R],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["stop"] = "stop",
    ) -> list[R]: ...
    @overload
    def map(
        self,
        task: TaskBase[..., Any],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["collect"],
    ) -> list[dict[str, Any]]: ...
    def map(
        self,
        task: TaskBase[..., Any],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["stop", "collect"] = "stop",
    ) -> list[Any]:
        """Call a task once for each item, each as a run of its own, `limit` at once (None: all),
        and wait for all; answers what they return, in order. `errors`: "stop" cancels the others
        when one fails, and raises as `call` does; "collect" answers a dict for each, with its
        `state`, `value` and `error`."""
        ends = self.steering.runs(
            f"map:{getattr(task, 'name', task)}",
            calls_of(task, [(item,) for item in items]),
            errors=errors,
            limit=limit,
        )
        returns = task.parameters.returns
        if errors == "collect":
            return [one.outcome(returns) for one in ends]
        return [one.value(returns) for one in ends]

    # ---- values -------------------------------------------------------------------------------
    def now(self) -> float:
        """The time (epoch seconds) when the code first came here."""
        return self.steering.now()

    def uuid(self) -> UUID:
        """A random id, the same each time that the code comes here."""
        return self.steering.uuid()

    def random(self) -> float:
        """A random number from 0 on and below 1, the same each time that the code comes here."""
        return self.steering.random()

    def patched(self, name: str) -> bool:
        """Whether the run is to go the new way through code that was changed: False for one that
        was past this place before the change, True for all others, and the same each time."""
        return self.steering.patched(name)

    def restart(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Begin the run anew, with these arguments and without steps: for a loop that has no end.
        Its id, its key and the signals that nobody took stay."""
        self.steering.restart(args, kwargs)

    # ---- helpers ------------------------------------------------------------------------------
    def open(self) -> Journal:
        """The journal. Raises WorkflowError where there may be no step."""
        journal = Durably.open(self)
        if threading.get_ident() != self.thread:
            raise WorkflowError(
                "the context of a workflow belongs to the thread that its function runs in; steps "
                "side by side are ctx.gather((function, …), …)"
            )
        return journal
