"""Events: what handlers see, and the CloudEvents 1.0 JSON around them on the way.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import logging
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.clock import from_rfc3339, rfc3339
from taskflow.errors import DecodeError
from taskflow.limits import MAX_MESSAGE_BYTES, is_fifo
from taskflow.message import Attributes, Delivery, Message, plain_text
from taskflow.text import check_line, is_simple
from taskflow.wire.trace_header import header_parent

T = TypeVar("T")
DEFAULT_SOURCE = "taskflow"
NO_TEXTS: Mapping[str, str] = {}
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Event(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Something that happened. `topic` and `id` together are its identity.

    `time` is in epoch seconds; `attempt` is 1 for the first run of its handler. `attributes`
    travel outside the JSON, as message attributes (10 at most). `group` is the message group:
    events of one group run one after the other on a FIFO queue. `msgspec.structs.replace` makes
    another.
    """

    topic: str
    payload: T
    id: str
    time: float
    source: str = DEFAULT_SOURCE
    subject: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    attributes: Mapping[str, str] = {}
    attempt: int = 1
    group: str | None = None

    def message(self, delay: float = 0.0, most: int = MAX_MESSAGE_BYTES) -> Message:
        """The event as a broker carries it. On a FIFO topic its id keeps it from being stored
        twice. It holds `most` bytes. Raises LimitExceeded, or TypeError for a payload that cannot
        be JSON; ValueError for an id that is none, and the like."""
        self._check()
        envelope = Envelope(
            specversion="1.0",
            id=self.id,
            source=self.source,
            type=self.topic,
            time=rfc3339(self.time),
            data=msgspec.Raw(json.encode(self.payload)),
            subject=self.subject,
            correlationid=self.correlation_id,
            causationid=self.causation_id,
            traceparent=self.traceparent,
        )
        return Message(
            self.id,
            json.carried(_write(envelope).decode()),
            self.attributes,
            delay or None,
            self.group,
            self.id if is_fifo(self.topic) else None,
            most=most,
        )

    def _check(self) -> None:
        """Whoever gets it writes these into logs, headers and terminals."""
        parent = self.traceparent
        if self.subject is None and self.correlation_id is None and self.causation_id is None:
            most = (self.id, self.source) if parent is None else (self.id, self.source, parent)
            if all(most) and _are_simple(most):
                return  # as most are, and this is quick
        lines = (
            self.id,
            self.source,
            self.subject,
            self.correlation_id,
            self.causation_id,
            self.traceparent,
        )
        for name, line in zip(_LINES, lines, strict=True):
            if line is not None or name in ("id", "source"):
                check_line(name, line)


def _are_simple(lines: Sequence[str]) -> bool:
    try:
        together = "".join(lines)
    except TypeError:  # not all are text
        return False
    return len(together) <= 1024 and is_simple(together)


_LINES = ("id", "source", "subject", "correlation_id", "causation_id", "traceparent")


class Envelope(msgspec.Struct, omit_defaults=True, kw_only=True):
    """CloudEvents 1.0 with the extensions we use; other extensions are ignored."""

    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    datacontenttype: str | None = None
    subject: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: str | None = None


_write = msgspec.json.Encoder(enc_hook=str).encode  # subclasses of str, such as EventId
_read = msgspec.json.Decoder(Envelope).decode


def open_envelope(delivery: Delivery) -> Envelope:
    """The envelope in a delivery's body. Raises DecodeError when it is none."""
    try:
        envelope = _read(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the body is no CloudEvents JSON: {error}") from None
    if envelope.specversion != "1.0" or not (envelope.id and envelope.source and envelope.type):
        raise DecodeError(
            "the body is no CloudEvents 1.0 JSON: specversion must be '1.0', and id, source and "
            "type must not be empty"
        )
    if envelope.data_base64 is not None:
        raise DecodeError("the event holds binary data (data_base64); JSON data is understood")
    return envelope


def raw_event(delivery: Delivery, topic: str, decode: json.Decode) -> Event[Any]:
    """The event of a message without an envelope: the whole body is its payload, and its id is
    the message's. Its `source` is empty. Raises DecodeError when the payload does not fit."""
    return Event(
        topic=topic,
        payload=decode(msgspec.Raw(delivery.body)),
        id=delivery.id,
        time=delivery.sent_at,
        source="",
        subject=delivery.subject,
        traceparent=header_parent(delivery.trace),
        attributes=_texts(delivery.attributes) if delivery.attributes else NO_TEXTS,
        group=delivery.group,
        attempt=delivery.receive_count,
    )


def to_event(delivery: Delivery, envelope: Envelope, decode: json.Decode) -> Event[Any]:
    """The event in an opened envelope. Raises DecodeError when the payload does not fit."""
    try:
        time = delivery.sent_at if envelope.time is None else from_rfc3339(envelope.time)
    except ValueError as error:
        raise DecodeError(f"the event's time is no RFC 3339 time: {error}") from None
    return Event(
        topic=envelope.type,
        payload=decode(envelope.data),
        id=envelope.id,
        time=time,
        source=envelope.source,
        subject=envelope.subject,
        correlation_id=envelope.correlationid,
        causation_id=envelope.causationid,
        traceparent=envelope.traceparent or header_parent(delivery.trace),
        attributes=_texts(delivery.attributes) if delivery.attributes else NO_TEXTS,
        group=delivery.group,
        attempt=delivery.receive_count,
    )


def _texts(attributes: Attributes) -> Mapping[str, str]:
    return {name: plain_text(value) for name, value in attributes.items()}


@dataclass(slots=True)
class Context:
    """What a handler may know about its run. `deadline` is in epoch seconds, None for none."""

    event: Event[Any]
    queue: str
    handler: str
    attempt: int
    deadline: float | None
    logger: logging.LoggerAdapter[logging.Logger]
    delivery: Delivery

    @property
    def lease_lost(self) -> bool:
        """Whether the message was handed to somebody else meanwhile: how this run ends will not
        be recorded, so it may as well stop."""
        return self.delivery.lost


current: ContextVar[Event[Any] | None] = ContextVar("taskflow_event", default=None)
"""The event being handled in this thread or task; publishing from a handler continues its trace."""


running: ContextVar[Context | None] = ContextVar("taskflow_running", default=None)
"""The run of this thread or task, its middleware included: for log lines."""


handling: ContextVar[Broker | None] = ContextVar("taskflow_handling", default=None)
"""The broker that the message came from which is handled in this thread or task."""


def trace_child(parent: str | None, random: Random) -> str:
    """A W3C traceparent: the parent's trace with a new span, or a new trace.

    An invalid parent starts a new trace, as https://www.w3.org/TR/trace-context/ asks.
    """
    if parent is not None and (found := _TRACEPARENT.fullmatch(parent)):
        version, trace, cause, flags, rest = found.groups()
        known = version != "ff" and (version != "00" or rest is None)
        if known and int(trace, 16) and int(cause, 16):
            return f"00-{trace}-{random.getrandbits(64) or 1:016x}-{flags}"
    return f"00-{random.getrandbits(192).to_bytes(24, 'little').hex('-', -16)}-01"
