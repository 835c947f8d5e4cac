"""One step, from the code's coming to it until it is kept: what both kinds of workflows do."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.errors import HandlerSignal, Reject, StepFailed, StepInterrupted
from taskflow.outgoing import Outgoing, outgoing
from taskflow.retry import Dead, Retry, decide
from taskflow.tasks.durable import Suspended
from taskflow.tasks.preparing import LONGEST_DELAY
from taskflow.tasks.settling import error_of
from taskflow.workflows.checkpoint import Checkpoint, Kind
from taskflow.workflows.journal import Journal
from taskflow.workflows.step_options import StepOptions, decoder_of, names_of
from taskflow.workflows.step_outgoing import StepOutgoing


class StepRun:
    """Made when the code comes to the step, in the order in which it does. Raises WorkflowError for
    two functions of one name."""

    def __init__(
        self,
        journal: Journal,
        options: StepOptions,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        kind: Kind = "step",
    ) -> None:
        self.journal = journal
        self._options = options
        self.function = function
        self._kind = kind
        name = options.name_of(function)
        keyed = name if options.key is None else f"{name}[{options.key}]"
        self.id, self._at, self._found = journal.enter(keyed)
        self._name = names_of(function).long
        self._given = _digest(args, kwargs)
        journal.drift.functions_agree(name, self._name)
        if self._found is not None:
            journal.drift.compare(self._found, self._at, self._name, self._given)
        self._args, self._kwargs = args, kwargs
        self._collects = StepOutgoing(journal.broker, key=self.key)
        self._tokens: tuple[Token[Outgoing | None], Token[StepRun | None]] | None = None
        self._began = 0.0

    @property
    def timeout(self) -> float | None:
        """Seconds that its coroutine may take."""
        return self._options.timeout

    @property
    def key(self) -> str:
        """The same however often the step is run: for whoever may be asked twice."""
        return f"{self.journal.life}:{self.id}"

    @property
    def owes(self) -> bool:
        """Whether `prepare` is to keep something, and wait for that."""
        return self._options.at_most_once or self.journal.owes

    @property
    def sends(self) -> bool:
        """Whether its function has sent anything."""
        return bool(self._collects)

    @property
    def over(self) -> bool:
        """Whether it was run before, and is not to be run again."""
        return self._found is not None and self._found.over

    def answer(self) -> Any:
        """What is kept of it. Raises StepFailed if that is a failure."""
        found = self._found
        assert found is not None
        if found.state == "failed":
            raise StepFailed(self.id, found.error, found.kinds)
        return decoder_of(self.function)(found.result)

    def prepare(self) -> None:
        """It is about to be run: what that may depend on is on disk when this returns. Raises
        StepFailed for one that was begun before, and may not be again."""
        found = self._found
        if self._options.at_most_once:
            if found is not None and found.state == "started":
                raise self.failed(
                    StepInterrupted(
                        f"step {self.id!r} was begun, and its worker died: nobody knows whether "
                        "it was done"
                    )
                )
            self.journal.note(self._checkpoint(state="started"), vital=True)
        self.journal.may_run(self.id)
        self.journal.settle_before_effect()

    def enter(self) -> None:
        """From here to `end`, in this thread or coroutine, what is sent is the step's."""
        self._began = self.journal.broker.clock.elapsed()
        self._tokens = outgoing.set(self._collects), running.set(self)

    def call(self, *first: Any) -> Any:
        """What the function answers, called with this and its arguments; a coroutine, if it is
        one."""
        return self.function(*first, *self._args, **self._kwargs)

    def end(self) -> None:
        """The function has returned, or raised."""
        if self._tokens is not None:
            outgoing.reset(self._tokens[0])
            running.reset(self._tokens[1])
        self._collects.closed = True

    def returned(self, value: Any) -> Any:
        """`encode` and `keep`."""
        return self.keep(self.encode(value))

    def encode(self, value: Any) -> bytes:
        """What it returned, as JSON. Raises Reject for what cannot be kept."""
        try:
            result = json.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            place = json.place_of(value)
            raise Reject(
                f"what step {self.id!r} returned cannot be kept{place and f': at {place}'}: {error}"
            ) from error
        most = self.journal.broker.max_message_bytes
        if len(result) > most:
            raise Reject(
                f"step {self.id!r} returned {len(result)} bytes; {most} are kept at most: store it "
                "elsewhere, and return where"
            )
        return result

    def keep(self, result: bytes) -> Any:
        """Keep what it returned, with all that it sent: on disk, when this returns. Answers it as
        it will be read the next time."""
        answer = self.decode(result)
        with self.journal.lock:
            self.note(result)
            self.journal.flush()
        return answer

    def decode(self, result: bytes) -> Any:
        """What it returned, as it will be read the next time."""
        return decoder_of(self.function)(msgspec.Raw(result))

    def note(self, result: bytes) -> None:
        """Keep what it returned, and all that it sent, with the next flush. The journal's lock is
        held."""
        journal, sent = self.journal, self._collects
        journal.note(self._checkpoint(result=msgspec.Raw(result)))
        if sent:
            journal.outgoing.records += sent.records
            journal.outgoing.counters += sent.counters
            journal.outgoing.sends += sent.sends

    def failed(self, error: Exception) -> BaseException:
        """What follows from a failure: to be raised. It is tried again later, or it is the code's
        to go on without it; then the failure is kept with whatever the code does next, and if that
        is nothing, the step is run again when the run is."""
        if isinstance(error, HandlerSignal):
            return error
        journal = self.journal
        attempts = (0 if self._found is None else self._found.attempts) + 1
        known = error_of(error)
        policy = self._options.policy
        outcome = decide(error, attempts, policy, journal.broker.random)
        if isinstance(outcome, Retry):
            again = self._checkpoint(state="retrying", attempts=attempts, error=known)
            journal.note(again)
            return journal.leave(wait_for(journal, outcome.after))
        assert isinstance(outcome, Dead)
        kinds = tuple(f"{one.__module__}.{one.__qualname__}" for one in type(error).__mro__)
        journal.note(
            self._checkpoint(state="failed", attempts=attempts, error=known, kinds=kinds),
            vital=True,
        )
        failure = StepFailed(self.id, known, kinds)
        failure.__cause__ = error
        journal.fresh_failures.append(failure)
        return failure

    def _checkpoint(self, **fields: Any) -> Checkpoint:
        took = self.journal.broker.clock.elapsed() - self._began if self._began else 0.0
        return Checkpoint(
            step=self.id,
            at=self._at,
            kind=self._kind,
            function=self._name,
            given=self._given,
            took=took,
            **fields,
        )


def run_step(step: StepRun) -> Any:
    """Run a step of a `def` workflow to its end, unless that is kept."""
    if step.over:
        return step.answer()
    step.prepare()
    step.enter()
    try:
        value = step.call()
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(f"step {step.id!r} is a coroutine; its workflow is to be `async def`")
    except Exception as error:
        if (reason := step.failed(error)) is error:
            raise
        raise reason from error
    finally:
        step.end()
    return step.returned(value)


running: ContextVar[StepRun | None] = ContextVar("taskflow_running_step", default=None)
"""The step whose function runs in this thread or coroutine."""


def wait_for(journal: Journal, seconds: float) -> Suspended:
    """To go on after so many seconds."""
    if seconds <= LONGEST_DELAY:
        return Suspended(delay=seconds)
    return Suspended(due_at=journal.broker.clock.now() + seconds)


def _digest(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What tells these arguments from others; "" for such as JSON does not hold."""
    if not args and not kwargs:
        return ""
    try:
        given = b"%s%s" % json.encode_arguments(args, kwargs)
    except (TypeError, ValueError, RecursionError):
        return ""
    return hashlib.blake2b(given, digest_size=8).hexdigest()
