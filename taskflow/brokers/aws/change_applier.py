"""ChangeApplier: changes on AWS, where state, sends and settlements are not one transaction.

The order is that which loses nothing: the state with a note of what is to be sent, all or none of
it; then the sends; then the settlements; then the note goes. Who dies in between leaves a note that
`resend` finds, or a message that comes back.
"""

import logging
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from taskflow.broker.change import (
    Add,
    Applied,
    Bury,
    Change,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
)
from taskflow.broker.record import Record, RecordQuery
from taskflow.broker.settings import Finish, Sent
from taskflow.brokers.aws.sender import Sender
from taskflow.brokers.aws.settler import Settler
from taskflow.brokers.aws.state import State
from taskflow.brokers.stored.change_limits import LONGEST_NAME
from taskflow.clock import Clock
from taskflow.errors import BrokerError, BrokerUnavailable, LeaseLost, LimitExceeded
from taskflow.limits import check_no_connection, is_fifo
from taskflow.message import Delivery, Message, new_id
from taskflow.stores.message_columns import read_attributes, write_attributes
from taskflow.uninterrupted import uninterrupted

log = logging.getLogger("taskflow.broker")

OUTBOX = "outbox"
RESEND_AFTER = 30.0  # seconds
SET_ASIDE = 86400.0
_PAGE = 10  # requests: whoever does the upkeep has leases to extend


class _Noted(msgspec.Struct):
    """A message that is to be sent, as it is noted: its attributes as a store writes them, and
    every other field."""

    topic: str | None
    queue: str | None
    attributes: str
    fields: dict[str, Any]


_FIELDS = [name for name in Message.__struct_fields__ if name not in ("attributes", "size")]
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(list[_Noted]).decode


class ChangeApplier:
    """Thread-safe. `state` is where records, keys and notes lie."""

    def __init__(
        self, clock: Clock, random: Random, state: State, sender: Sender, settler: Settler
    ) -> None:
        self._clock = clock
        self._random = random
        self._state = state
        self._sender = sender
        self._settler = settler

    @uninterrupted
    def apply(
        self,
        changes: Sequence[Change],
        durable: bool = True,
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Applied]:
        """Make each change, or refuse it; one that dies halfway is ended by who repeats it, or by
        `resend`."""
        check_no_connection(connection, "AWS")
        answers = []
        for change in changes:
            try:
                answers.append(self._apply(change, durable))
            except BrokerUnavailable:
                raise
            except BrokerError as refused:
                answers.append(Applied(refused=refused))
        return answers

    def _apply(self, change: Change, durable: bool) -> Applied:
        if not self._was_made(change):
            self._check_fence(change.fence)
        note = None
        records = list(change.records)
        if change.sends:
            now = self._clock.now()
            note = change.id or new_id(now, self._random)
            text = _write(_noted(change.sends)).decode()
            records.append(Put(kind=OUTBOX, key=note, value=text, due_at=now + RESEND_AFTER))
        counters = [self._with_note(add) for add in change.counters]
        state = replace(
            change, fence=None, records=records, counters=counters, sends=(), settlements=()
        )
        answer = Applied()
        if state.id is not None or state.keys or records or state.counters:
            (answer,) = self._state.apply([state], durable)
            answer.or_raise()
        for before, add, count in zip(change.counters, counters, answer.counts, strict=True):
            if count == 0 and (key := _note_of(add)) is not None:
                then = [one for one in before.then if isinstance(one, Send)]
                self._send(key, then, answer.repeated)
        sent = self._send(note, change.sends, answer.repeated)
        settled = [self._settle(one) for one in change.settlements]
        versions = answer.versions[: len(change.records)]
        return replace(answer, versions=versions, sent=sent, settled=settled)

    def _with_note(self, add: Add) -> Add:
        """A counter that in the end writes a note of what is to be sent then."""
        sends = [one for one in add.then if isinstance(one, Send)]
        if not sends:
            return add
        now = self._clock.now()
        note = Put(
            kind=OUTBOX,
            key=new_id(now, self._random),
            value=_write(_noted(sends)).decode(),
            due_at=now + RESEND_AFTER,
        )
        return replace(add, then=[*(one for one in add.then if isinstance(one, Put)), note])

    def _was_made(self, change: Change) -> bool:
        """Whether its state was changed before: then its message may well be gone."""
        return change.id is not None and self._state.was_applied(change.id)

    def _check_fence(self, fence: Delivery | None) -> None:
        if fence is None:
            return
        (lease,) = self._settler.leases([fence])
        if lease != "held" and (lease != "lapsed" or is_fifo(fence.queue)):
            raise LeaseLost(
                f"message {fence.id!r} of queue {fence.queue!r} is no longer held: its "
                f"receipt is {lease}"
            )

    def _send(
        self, note: str | None, sends: Sequence[Send | Publish], repeated: bool
    ) -> list[list[Sent]]:
        """Send what was noted, and take the note away; what had been sent is not sent again."""
        if note is None:
            return []
        if repeated and not self._state.records(OUTBOX, [note]):
            return [[Sent(message.id, 0) for message in one.messages] for one in sends]
        try:
            sent = [
                list(self._sender.publish(one.topic, one.messages).sent)
                if isinstance(one, Publish)
                else self._sender.send(one.queue, one.messages)
                for one in sends
            ]
        except BrokerUnavailable:
            raise  # perhaps it was sent: the note stays
        except BrokerError as error:  # it stays, for who repeats it, and is not sent again here
            self._set_aside(note, error)
            raise
        self._state.apply([Change(records=[Remove(OUTBOX, note)])], durable=False)
        return sent

    def _set_aside(self, note: str, error: BrokerError) -> None:
        """Keep a note that cannot be sent, for a day: `resend` passes it over."""
        found = self._state.records(OUTBOX, [note]).get(note)
        if found is None:
            return
        log.error("what a change was to send cannot be sent, and is set aside: %s", error)
        kept = Put(
            kind=OUTBOX,
            key=note,
            value=found.value,
            state="refused",
            label=str(error)[:LONGEST_NAME],
            expires_at=self._clock.now() + SET_ASIDE,
        )
        self._state.apply([Change(records=[kept])], durable=False)

    def _settle(self, one: Settlement) -> bool:
        match one:
            case Finish():
                (done,) = self._settler.delete([one])
            case Hide():
                (done,) = self._settler.change_visibility([(one.delivery, one.seconds)])
            case Keep():
                (done,) = self._settler.extend([(one.delivery, one.seconds)])
            case GiveBack():
                (done,) = self._settler.give_back([one.delivery])
            case Bury():
                (done,) = self._settler.dead_letter([(one.delivery, one.failure)])
        return done

    @uninterrupted
    def resend(self, limit: int) -> bool:
        """Send what was noted half a minute ago and is noted still; whether there may be more."""
        query = RecordQuery(
            kind=OUTBOX,
            order="due",
            due_by=self._clock.now(),
            limit=max(1, min(limit, _PAGE)),
        )
        page = self._state.list_records(query)
        for record in page.records:
            try:
                for noted in _read_note(record):
                    if noted.topic is not None:
                        self._sender.publish(noted.topic, [_message(noted)])
                    elif noted.queue is not None:
                        self._sender.send(noted.queue, [_message(noted)])
            except BrokerUnavailable:
                raise
            except BrokerError as error:  # it keeps no other from being sent
                self._set_aside(record.key, error)
            else:
                self._state.apply([Change(records=[Remove(OUTBOX, record.key)])], durable=False)
        return page.next is not None


def _read_note(record: Record) -> list[_Noted]:
    """Raises LimitExceeded for what is no note of ours."""
    try:
        return _read(record.value)
    except msgspec.MsgspecError as error:
        raise LimitExceeded(f"the note {record.key!r} cannot be read: {error}") from error


def _note_of(add: Add) -> str | None:
    return next((one.key for one in add.then if isinstance(one, Put) and one.kind == OUTBOX), None)


def _noted(sends: Iterable[Send | Publish]) -> list[_Noted]:
    return [
        _Noted(
            topic=one.topic if isinstance(one, Publish) else None,
            queue=one.queue if isinstance(one, Send) else None,
            attributes=write_attributes(message.attributes),
            fields={name: getattr(message, name) for name in _FIELDS},
        )
        for one in sends
        for message in one.messages
    ]


def _message(noted: _Noted) -> Message:
    return Message(attributes=read_attributes(noted.attributes), **noted.fields)
