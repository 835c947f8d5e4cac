"""One delivery through one handler: decode, middleware, run, outcome."""

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from random import Random
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from taskflow.broker import Broker
from taskflow.clock import Clock
from taskflow.engine import Begins
from taskflow.entry import Entry
from taskflow.errors import DecodeError, NoHandler
from taskflow.event import (
    Context,
    Event,
    current,
    handling,
    open_envelope,
    raw_event,
    running,
    to_event,
)
from taskflow.later import Later
from taskflow.message import Delivery
from taskflow.middleware import Middleware, wrap
from taskflow.registry import Registry
from taskflow.retry import Dead, Done, Outcome, RetryPolicy, decide
from taskflow.subscription import Subscription
from taskflow.telemetry.tracing import active
from taskflow.worker.job import Job

if TYPE_CHECKING:
    import asyncio
    from concurrent import futures
else:
    asyncio = Later("asyncio")
    futures = Later("concurrent.futures")

Invoke = Callable[[Entry, Context], Any]
handler_log = logging.getLogger("taskflow.handler")
NO_HANDLER = RetryPolicy()
DONE = Done()
_VALUES = frozenset((int, float, str, bool, list, dict, tuple))


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the fields of a run on a handler's own lines, beside the `extra` they have."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def find_job(delivery: Delivery, registry: Registry) -> Job:
    """The handler for a delivery, by its topic. What was sent to the queue directly is of an engine
    that takes it, which then says who it is for (`identify`); else it goes to the handler that its
    envelope names, else to the queue's raw one."""
    topic = delivery.topic
    if not topic:
        for engine in registry.engines:
            if engine.takes(delivery):
                return Job(delivery, None, NO_HANDLER, engine)
        try:
            topic = open_envelope(delivery).type
        except DecodeError:
            topic = ""
    subscription = registry.find(delivery.queue, topic)
    if subscription is None and not delivery.topic:
        subscription = registry.find_raw(delivery.queue)
    policy = _unhandled(delivery.queue, registry) if subscription is None else subscription.policy
    return Job(delivery, subscription, policy)


def _unhandled(queue: str, registry: Registry) -> RetryPolicy:
    """How often a message without a handler is tried: no more than the queue's redrive policy
    allows, so that its failure record tells the reason."""
    attempts = max((found.policy.max_attempts for found in registry.on(queue)), default=1)
    return replace(NO_HANDLER, retries=min(NO_HANDLER.retries, attempts - 1))


def identify(jobs: Sequence[Job], broker: Broker | None, registry: Registry) -> None:
    """Ask the engines who their messages are for. Raises BrokerError when the broker cannot say."""
    for engine in registry.engines:
        asked = [job for job in jobs if job.engine is engine]
        if not asked:
            continue
        answers = engine.find(broker, [job.delivery for job in asked])
        for job, found in zip(asked, answers, strict=True):
            job.found, job.entry = found, found.entry
            job.policy = found.policy or _unhandled(job.delivery.queue, registry)


def invoke(entry: Entry, context: Context) -> Any:
    """Call the handler in this thread; an `async def` one in a loop of its own."""
    arguments = entry.arguments(context)
    result = entry.handler(*arguments.args, **arguments.kwargs)
    return _run_coroutine(result) if entry.is_async else result


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """In a loop of its own; in a thread of its own when one runs here (an async test)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with futures.ThreadPoolExecutor(1, thread_name_prefix="taskflow-coroutine") as apart:
        return apart.submit(copy_context().run, asyncio.run, coroutine).result()


def execute(
    job: Job,
    *,
    clock: Clock,
    random: Random,
    middleware: Sequence[Middleware] = (),
    invoke: Invoke = invoke,
    broker: Broker | None = None,
) -> Outcome:
    """Run one job to its outcome; never raises, whatever the handler does.

    (KeyboardInterrupt in the main thread is the user's, and goes through.)
    """

    def run(context: Context) -> Outcome:
        return _run(job, context, refusal, broker, invoke)

    def failed(error: BaseException) -> Outcome:
        if isinstance(error, KeyboardInterrupt) and _in_main_thread():
            raise error
        outcome = decide(error, job.delivery.receive_count, job.policy, random)
        if job.engine is not None and job.found is not None:
            return job.engine.failed(job.found, outcome)
        return outcome

    if (tracing := active()) is not None:
        middleware = (tracing.process, *middleware)
    context, refusal = _prepare(job, clock.now(), broker)
    # What a run sets in context variables (a tenant, a decimal precision) is its own.
    apart = copy_context()
    apart.run(running.set, context)
    return apart.run(wrap(run, middleware, failed), context)


def _prepare(job: Job, now: float, broker: Broker | None) -> tuple[Context, Exception | None]:
    """The context of a run, and why its event cannot be read, if it cannot."""
    delivery, entry = job.delivery, job.entry
    name = job.handler
    timeout = entry.timeout if entry else None
    deadline = None if timeout is None else now + timeout
    attempt = delivery.receive_count
    fields = {"event": delivery.id, "queue": delivery.queue, "handler": name, "attempt": attempt}
    logger = RunLogger(handler_log, fields)
    if job.engine is not None:
        assert job.found is not None
        begins = Begins(name, deadline, logger)
        return job.engine.context(job.found, delivery, begins, broker), job.found.refusal
    refusal: Exception | None = None
    try:
        event = _read(delivery, entry)
        fields["event"] = event.id
    except Exception as error:  # a payload type may raise anything when it is made
        refusal = error
        event = Event(
            topic=delivery.topic,
            payload=None,
            id=delivery.id,
            time=delivery.sent_at,
            attempt=attempt,
        )
    return Context(event, delivery.queue, name, attempt, deadline, logger, delivery), refusal


def _read(delivery: Delivery, entry: Entry | None) -> Event[Any]:
    subscription = entry if isinstance(entry, Subscription) else None
    decode = (lambda raw: None) if subscription is None else subscription.signature.decode
    if subscription is not None and subscription.raw:
        return raw_event(delivery, subscription.topic, decode)
    try:
        envelope = open_envelope(delivery)
    except DecodeError as error:
        raise DecodeError(f"{error}; @subscribe(…, raw=True) takes a body as it is") from None
    return to_event(delivery, envelope, decode)


def _run(
    job: Job,
    context: Context,
    refusal: Exception | None,
    broker: Broker | None,
    invoke: Invoke,
) -> Outcome:
    entry, engine, found = job.entry, job.engine, job.found
    if found is not None and found.decided is not None:
        return found.decided
    if refusal is not None:
        raise refusal
    if entry is None:
        raise NoHandler(
            f"no handler for topic {context.event.topic!r} on queue {context.queue!r}; is the "
            "module that subscribes it loaded?"
        )
    if job.duplicate:
        return Done(duplicate=True)
    if context.attempt > job.policy.max_attempts:
        return Dead(
            f"started {context.attempt - 1} times and never finished: its worker was killed or "
            "lost its lease each time"
        )
    if engine is not None and found is not None:
        engine.begin(found, broker)
    handling.set(broker)  # of the copy of the context that this run has
    token = current.set(context.event)
    try:
        result = invoke(entry, context)
    finally:
        current.reset(token)
    if result is not None and type(result) not in _VALUES:
        _refuse_unfinished(entry, result)
    if engine is not None and found is not None:
        return Done(value=engine.value(found, result))
    return result if isinstance(result, Done) else DONE  # one of ours says why it did nothing


def _refuse_unfinished(entry: Entry, result: object) -> None:
    """Raise TypeError when a handler returned work instead of doing it."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"{entry.name} returned a coroutine that nobody awaits; make it `async def`"
        )
    if isinstance(result, GeneratorType) or _is_future(result):
        raise TypeError(
            f"{entry.name} returned a {type(result).__name__}, whose work nobody waits for; "
            "wait for it in the handler"
        )


def _is_future(result: object) -> bool:
    """Of whichever kind; who has not imported them has none."""
    loaded = sys.modules
    return ("concurrent.futures" in loaded and isinstance(result, futures.Future)) or (
        "asyncio" in loaded and isinstance(result, asyncio.Future)
    )


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
