"""SendMessage, ReceiveMessage and DeleteMessage of standard queues, as far as they are plain.

Whatever is not, or would be an error, is declined: `sqs_send` and `sqs_receive` do it then, and say
what is wrong with it. What is done here is answered as they would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from taskflow.broker import Finish
from taskflow.errors import BrokerError
from taskflow.limits import MAX_RECEIVE_WAIT, MAX_VISIBILITY, is_fifo
from taskflow.message import Delivery, Message, new_id
from taskflow.placing import new_place
from taskflow.server.app import Caller
from taskflow.server.backend import Backend, find_queue
from taskflow.server.json_dialect import plain
from taskflow.server.protocol import check_result
from taskflow.server.sqs_receive import (
    MAX_MESSAGES,
    ReceiveActions,
    by_receipt,
    is_message_attribute,
)
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import md5_of_body
from taskflow.wire.shapes import load_services

KEPT = 1024  # queues whose URLs are known
LONGEST_URL = 1024  # characters

Verb = Callable[[], tuple[bytes, Sequence[Delivery]]]
"""Answers the body of the answer, and what was lent."""


class _Send(msgspec.Struct, forbid_unknown_fields=True):
    QueueUrl: str
    MessageBody: str


class _Receive(msgspec.Struct, forbid_unknown_fields=True):
    QueueUrl: str
    MaxNumberOfMessages: int = 1
    VisibilityTimeout: int | msgspec.UnsetType = msgspec.UNSET
    WaitTimeSeconds: int | msgspec.UnsetType = msgspec.UNSET
    AttributeNames: list[str] = []
    MessageSystemAttributeNames: list[str] = []
    MessageAttributeNames: list[str] = []


class _Delete(msgspec.Struct, forbid_unknown_fields=True):
    QueueUrl: str
    ReceiptHandle: str


class Declined(Exception):
    """It is not plain after all; what it did is undone."""


@dataclass(frozen=True, slots=True)
class PlainCall:
    """What is to be done: `verb` in a round, of this queue."""

    queue: str
    verb: Verb


class PlainActions:
    """The three actions, each a function of a body, who sent it and the region it is for. It
    answers None for what is not plain; the verb raises Declined, or the broker's errors."""

    def __init__(self, backend: Backend, receives: ReceiveActions) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._receives = receives
        self._queues: dict[tuple[str, str], str] = {}
        output = load_services()["sqs"].operations["ReceiveMessage"].output
        self._fit = partial(check_result, output)
        self.by_name: dict[str, Callable[[bytes, Caller, str], PlainCall | None]] = {
            "SendMessage": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
        }

    def _queue_of(self, url: str, region: str) -> str | None:
        """The broker's name of a standard queue of this account."""
        queue = self._queues.get((url, region))
        if queue is None and len(url) <= LONGEST_URL:
            try:
                queue = find_queue(url, region, self._backend)
            except (BrokerError, WireError):
                return None
            if is_fifo(queue):
                return None
            if len(self._queues) >= KEPT:
                self._queues.clear()
            self._queues[url, region] = queue
        return queue

    # ---- send -------------------------------------------------------------------------------
    def _send(self, body: bytes, caller: Caller, region: str) -> PlainCall | None:
        try:
            given = _read_send(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        queue = self._queue_of(given.QueueUrl, region)
        if queue is None or not given.MessageBody:
            return None
        sender = caller.access_key_id or caller.account
        return PlainCall(queue, partial(self._send_now, queue, given.MessageBody, sender))

    def _send_now(self, queue: str, text: str, sender: str) -> tuple[bytes, Sequence[Delivery]]:
        broker = self._broker
        id = new_id(broker.clock.now(), broker.random, new_place(broker))
        (sent,) = broker.send(queue, [Message(id, text, sender=sender)])
        return _write({"MessageId": sent.id, "MD5OfMessageBody": md5_of_body(text)}), ()

    # ---- receive ----------------------------------------------------------------------------
    def _receive(self, body: bytes, caller: Caller, region: str) -> PlainCall | None:
        try:
            given = _read_receive(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        queue = self._queue_of(given.QueueUrl, region)
        visibility, wait = given.VisibilityTimeout, given.WaitTimeSeconds
        if (
            queue is None
            or not 1 <= given.MaxNumberOfMessages <= MAX_MESSAGES
            or (visibility is not msgspec.UNSET and not 0 <= visibility <= MAX_VISIBILITY)
            or (wait is not msgspec.UNSET and not 0 <= wait <= MAX_RECEIVE_WAIT)
        ):
            return None
        wanted = {*given.AttributeNames, *given.MessageSystemAttributeNames}
        if not all(map(is_message_attribute, wanted)):
            return None
        return PlainCall(queue, partial(self._receive_now, queue, given, wanted))

    def _receive_now(
        self, queue: str, given: _Receive, wanted: set[str]
    ) -> tuple[bytes, Sequence[Delivery]]:
        hidden, wait = given.VisibilityTimeout, given.WaitTimeSeconds
        visibility = None if hidden is msgspec.UNSET else float(hidden)
        found = self._broker.receive(queue, limit=given.MaxNumberOfMessages, visibility=visibility)
        if not found:
            if wait is msgspec.UNSET:
                wait = int(self._broker.settings(queue).receive_wait)
            if wait:
                raise Declined
            return b"{}", ()
        names = frozenset(given.MessageAttributeNames)
        if wanted or names:
            shown: list[Any] = [self._receives.show(one, wanted, names) for one in found]
            return _write(plain(self._fit({"Messages": shown}))), found
        shown = [
            {
                "MessageId": one.id,
                "ReceiptHandle": one.receipt,
                "MD5OfBody": md5_of_body(one.body),
                "Body": one.body,
            }
            for one in found
        ]
        return _write({"Messages": shown}), found

    # ---- delete -----------------------------------------------------------------------------
    def _delete(self, body: bytes, caller: Caller, region: str) -> PlainCall | None:
        try:
            given = _read_delete(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        queue = self._queue_of(given.QueueUrl, region)
        if queue is None or self._broker.received_at([given.ReceiptHandle]) == [None]:
            return None
        return PlainCall(queue, partial(self._delete_now, queue, given.ReceiptHandle))

    def _delete_now(self, queue: str, handle: str) -> tuple[bytes, Sequence[Delivery]]:
        self._broker.delete([Finish(by_receipt(queue, handle))], fence=False)
        return b"{}", ()


_read_send = msgspec.json.Decoder(_Send).decode
_read_receive = msgspec.json.Decoder(_Receive).decode
_read_delete = msgspec.json.Decoder(_Delete).decode
_write = msgspec.json.Encoder().encode
