"""SendMessage, ReceiveMessage and DeleteMessage of standard queues, as far as they are plain.

Whatever is not, or would be an error, is declined: `sqs_send` and `sqs_receive` do it then, and say
what is wrong with it. What is done here is answered as they would.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from taskflow.broker import Finish
from taskflow.errors import BrokerError, LimitExceeded
from taskflow.limits import MAX_RECEIVE_WAIT, MAX_VISIBILITY, is_fifo
from taskflow.message import Delivery, Message, new_id
from taskflow.placing import new_place
from taskflow.server.backend import Backend, find_queue
from taskflow.server.json_dialect import plain
from taskflow.server.protocol import check_result
from taskflow.server.sqs_receive import MAX_MESSAGES, ReceiveActions, is_message_attribute
from taskflow.server.sqs_settle import by_receipt
from taskflow.server.wire_call import Caller
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import md5_of_body
from taskflow.wire.shapes import load_services

KEPT = 1024  # queues whose URLs are known
LONGEST_URL = 1024  # characters

Answer = tuple[bytes | None, Sequence[Delivery]]
"""The body of an answer, None for the long way, and what was lent."""


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


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """What one asks of a queue. Those with the same `key` can be done together."""

    key: tuple[str, str, float | None]
    given: "_Send | _Receive | _Delete"
    sender: str = ""
    wanted: Set[str] = frozenset()
    """The names of a message's own attributes."""

    @property
    def lasts(self) -> bool:
        """Whether what is done is to be on disk before it is answered."""
        return isinstance(self.given, _Send)


class PlainActions:
    """`read` is called on the loop, `do` in a round. Neither refuses anything."""

    def __init__(self, backend: Backend, receives: ReceiveActions) -> None:
        self._backend = backend
        self._broker = backend.broker
        self._receives = receives
        self._queues: dict[tuple[str, str], str] = {}
        output = load_services()["sqs"].operations["ReceiveMessage"].output
        self._fit = partial(check_result, output)
        self._reads = {
            "SendMessage": self._read_send,
            "ReceiveMessage": self._read_receive,
            "DeleteMessage": self._read_delete,
        }
        self._does: dict[str, Callable[[str, Sequence[PlainRequest]], list[Answer]]] = {
            "SendMessage": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessage": self._delete,
        }
        self.names = list(self._reads)

    def read(self, action: str, body: bytes, caller: Caller, region: str) -> PlainRequest | None:
        """The request of a body; None when it is not plain."""
        try:
            return self._reads[action](body, caller, region)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def do(self, requests: Sequence[PlainRequest]) -> list[Answer]:
        """What is answered to requests of one key, as if they came one after the other."""
        action, queue, _ = requests[0].key
        return self._does[action](queue, requests)

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
    def _read_send(self, body: bytes, caller: Caller, region: str) -> PlainRequest | None:
        given = _read_send(body)
        queue = self._queue_of(given.QueueUrl, region)
        if queue is None or not given.MessageBody:
            return None
        sender = caller.access_key_id or caller.account
        return PlainRequest(("SendMessage", queue, None), given, sender)

    def _send(self, queue: str, requests: Sequence[PlainRequest]) -> list[Answer]:
        broker = self._broker
        now, most = broker.clock.now(), broker.settings(queue).max_message_bytes
        messages: list[Message] = []
        answers: list[Answer] = []
        for one in requests:
            assert isinstance(one.given, _Send)
            text = one.given.MessageBody
            id = new_id(now, broker.random, new_place(broker))
            try:
                message = Message(id, text, sender=one.sender)
            except LimitExceeded:
                answers.append(_LONG_WAY)
                continue
            if message.size > most:
                answers.append(_LONG_WAY)
                continue
            messages.append(message)
            answers.append((_write({"MessageId": id, "MD5OfMessageBody": md5_of_body(text)}), ()))
        if messages:
            broker.send(queue, messages)
        return answers

    # ---- receive ----------------------------------------------------------------------------
    def _read_receive(self, body: bytes, caller: Caller, region: str) -> PlainRequest | None:
        given = _read_receive(body)
        queue = self._queue_of(given.QueueUrl, region)
        hidden, wait = given.VisibilityTimeout, given.WaitTimeSeconds
        if (
            queue is None
            or not 1 <= given.MaxNumberOfMessages <= MAX_MESSAGES
            or (hidden is not msgspec.UNSET and not 0 <= hidden <= MAX_VISIBILITY)
            or (wait is not msgspec.UNSET and not 0 <= wait <= MAX_RECEIVE_WAIT)
        ):
            return None
        wanted = {*given.AttributeNames, *given.MessageSystemAttributeNames}
        if not all(map(is_message_attribute, wanted)):
            return None
        visibility = None if hidden is msgspec.UNSET else float(hidden)
        return PlainRequest(("ReceiveMessage", queue, visibility), given, wanted=wanted)

    def _receive(self, queue: str, requests: Sequence[PlainRequest]) -> list[Answer]:
        """Who came first gets what there is, as much as it asked for."""
        limits = []
        for one in requests:
            assert isinstance(one.given, _Receive)
            limits.append(one.given.MaxNumberOfMessages)
        visibility = requests[0].key[2]
        found = self._broker.receive(queue, limit=sum(limits), visibility=visibility)
        answers: list[Answer] = []
        first = 0
        for one, limit in zip(requests, limits, strict=True):
            some = found[first : first + limit]
            first += len(some)
            answers.append((self._show(one, some) if some else self._show_none(queue, one), some))
        return answers

    def _show(self, request: PlainRequest, found: Sequence[Delivery]) -> bytes:
        assert isinstance(request.given, _Receive)
        wanted, names = request.wanted, frozenset(request.given.MessageAttributeNames)
        if wanted or names:
            shown: list[Any] = [self._receives.show(one, wanted, names) for one in found]
            return _write(plain(self._fit({"Messages": shown})))
        shown = [
            {
                "MessageId": one.id,
                "ReceiptHandle": one.receipt,
                "MD5OfBody": md5_of_body(one.body),
                "Body": one.body,
            }
            for one in found
        ]
        return _write({"Messages": shown})

    def _show_none(self, queue: str, request: PlainRequest) -> bytes | None:
        """Nothing, at once; who waits goes the long way."""
        assert isinstance(request.given, _Receive)
        wait: float | msgspec.UnsetType = request.given.WaitTimeSeconds
        if wait is msgspec.UNSET:
            wait = self._broker.settings(queue).receive_wait
        return None if wait else b"{}"

    # ---- delete -----------------------------------------------------------------------------
    def _read_delete(self, body: bytes, caller: Caller, region: str) -> PlainRequest | None:
        given = _read_delete(body)
        queue = self._queue_of(given.QueueUrl, region)
        if queue is None or self._broker.received_at([given.ReceiptHandle]) == [None]:
            return None
        return PlainRequest(("DeleteMessage", queue, None), given)

    def _delete(self, queue: str, requests: Sequence[PlainRequest]) -> list[Answer]:
        entries = []
        for one in requests:
            assert isinstance(one.given, _Delete)
            entries.append(Finish(by_receipt(queue, one.given.ReceiptHandle)))
        self._broker.delete(entries, fence=False)
        return [(b"{}", ())] * len(requests)


_LONG_WAY: Answer = (None, ())
_read_send = msgspec.json.Decoder(_Send).decode
_read_receive = msgspec.json.Decoder(_Receive).decode
_read_delete = msgspec.json.Decoder(_Delete).decode
_write = msgspec.json.Encoder().encode
