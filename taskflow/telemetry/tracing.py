"""The seam to tracing: what the framework asks of whoever traces. Nobody does until `trace_with`.

Free of OpenTelemetry, which `taskflow.telemetry.otel` alone imports.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

from taskflow.event import Context
from taskflow.message import Delivery
from taskflow.middleware import Run
from taskflow.retry import Outcome
from taskflow.wire.trace_header import trace_header


class Posting(NamedTuple):
    """A post that is traced: the headers that it takes with it, and who is told the status of the
    answer."""

    headers: Mapping[str, str]
    answered: Callable[[int], None]


class Tracing(Protocol):
    """Makes spans. Thread-safe; nothing here raises, whatever the exporter does."""

    def sending(
        self, destination: str, count: int, causes: Sequence[str | None]
    ) -> AbstractContextManager[None]:
        """Around a send of so many messages, 0 when that is not known. `causes`: the traceparents
        that they were made in, when that was earlier and elsewhere (an outbox)."""
        ...

    def carried(self) -> str | None:
        """The traceparent of the span that is current here, which a message takes with it."""
        ...

    def received(self, deliveries: Sequence[Delivery], began: float, ended: float) -> None:
        """These were received, between these times (epoch seconds)."""
        ...

    def process(self, context: Context, run: Run) -> Outcome:
        """A middleware, around all others."""
        ...

    def settling(self, deliveries: Sequence[Delivery]) -> AbstractContextManager[None]:
        """While the broker is told how these ended."""
        ...

    def posting(self, topic: str, host: str, delivery: Delivery) -> AbstractContextManager[Posting]:
        """While a message of a topic is posted to a URL of this host. What is raised goes
        through."""
        ...


class Held(Protocol):
    """Whoever has a message: a worker's job."""

    @property
    def delivery(self) -> Delivery:
        """The message."""
        ...


_active: Tracing | None = None
_NOTHING = nullcontext()
_UNTRACED = nullcontext(Posting({}, lambda status: None))


def trace_with(found: Tracing | None) -> None:
    """From now on this one traces, in the whole process; None for nobody."""
    global _active
    _active = found


def active() -> Tracing | None:
    """Who traces."""
    return _active


def sending(
    destination: str, count: int = 1, causes: Sequence[str | None] = ()
) -> AbstractContextManager[None]:
    """As of `Tracing`; nothing without one."""
    return _NOTHING if _active is None else _active.sending(destination, count, causes)


def settling(held: Sequence[Held]) -> AbstractContextManager[None]:
    """As of `Tracing`; nothing without one."""
    if _active is None:
        return _NOTHING
    return _active.settling([one.delivery for one in held])


def posting(topic: str, host: str, delivery: Delivery) -> AbstractContextManager[Posting]:
    """As of `Tracing`; no headers without one."""
    return _UNTRACED if _active is None else _active.posting(topic, host, delivery)


def carried() -> str | None:
    """As of `Tracing`; None without one."""
    return None if _active is None else _active.carried()


def carried_header() -> str | None:
    """The same, as what travels beside a message that is no event (`Message.trace`)."""
    return None if _active is None else trace_header(_active.carried())
