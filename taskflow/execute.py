"""One delivery through one handler: decode, middleware, run, outcome."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from taskflow.clock import Clock
from taskflow.errors import DecodeError, TaskflowError
from taskflow.event import Context, Event, current, open_envelope, to_event
from taskflow.message import Delivery
from taskflow.middleware import Middleware, wrap
from taskflow.registry import Registry, Subscription
from taskflow.retry import Dead, Done, Outcome, RetryPolicy, decide

Invoke = Callable[[Subscription, Context], Any]
handler_log = logging.getLogger("taskflow.handler")
NO_HANDLER = RetryPolicy()


@dataclass(slots=True)
class Job:
    """A delivery with its handler. `duplicate`: the queue has finished this event before."""

    delivery: Delivery
    subscription: Subscription | None
    duplicate: bool = False


class NoHandler(TaskflowError):
    """A message waits in a queue that has no handler for its topic (in this worker)."""


def find_job(delivery: Delivery, registry: Registry) -> Job:
    """The handler for a delivery, by its topic."""
    topic = delivery.topic
    if not topic:  # sent to the queue directly: only the envelope knows
        try:
            topic = open_envelope(delivery).type
        except DecodeError:
            topic = ""
    return Job(delivery, registry.find(delivery.queue, topic))


def invoke(subscription: Subscription, context: Context) -> Any:
    """Call the handler in this thread; an `async def` one in a loop of its own."""
    result = subscription.handler(*subscription.signature.arguments(context))
    return asyncio.run(result) if subscription.signature.is_async else result


def execute(
    job: Job,
    *,
    clock: Clock,
    random: Random,
    middleware: Sequence[Middleware] = (),
    invoke: Invoke = invoke,
) -> Outcome:
    """Run one job to its outcome; never raises, whatever the handler does.

    (KeyboardInterrupt in the main thread is the user's, and goes through.)
    """
    delivery, subscription = job.delivery, job.subscription
    policy = NO_HANDLER if subscription is None else subscription.policy

    def run(context: Context) -> Outcome:
        try:
            return _run(job, context, refusal, random, invoke)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and _in_main_thread():
                raise
            return decide(error, delivery.receive_count, policy, random)

    context, refusal = _prepare(job, clock.now())
    try:
        return wrap(run, middleware)(context)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _in_main_thread():
            raise
        return decide(error, delivery.receive_count, policy, random)


def _prepare(job: Job, now: float) -> tuple[Context, DecodeError | None]:
    """The context of a run, and why its event cannot be read, if it cannot."""
    delivery, subscription = job.delivery, job.subscription
    refusal = None
    try:
        envelope = open_envelope(delivery)
        decode = (lambda raw: None) if subscription is None else subscription.signature.decode
        event = to_event(delivery, envelope, decode)
    except DecodeError as error:
        refusal = error
        event = Event(
            topic=delivery.topic,
            payload=None,
            id=delivery.id,
            time=delivery.sent_at,
            attempt=delivery.receive_count,
        )
    name = subscription.name if subscription else "-"
    timeout = subscription.timeout if subscription else None
    logger = logging.LoggerAdapter(
        handler_log,
        {"event": event.id, "queue": delivery.queue, "handler": name, "attempt": event.attempt},
    )
    deadline = None if timeout is None else now + timeout
    return Context(event, delivery.queue, name, event.attempt, deadline, logger), refusal


def _run(
    job: Job, context: Context, refusal: DecodeError | None, random: Random, invoke: Invoke
) -> Outcome:
    subscription = job.subscription
    if refusal is not None:
        raise refusal
    if subscription is None:
        raise NoHandler(
            f"no handler for topic {context.event.topic!r} on queue {context.queue!r}; is the "
            "module that subscribes it loaded?"
        )
    if job.duplicate:
        return Done(duplicate=True)
    if context.attempt > subscription.max_attempts:
        return Dead(
            f"started {context.attempt - 1} times and never finished: its worker was killed or "
            "lost its lease each time"
        )
    token = current.set(context.event)
    try:
        invoke(subscription, context)
    finally:
        current.reset(token)
    return decide(None, context.attempt, subscription.policy, random)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
