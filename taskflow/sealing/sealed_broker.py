"""A broker through which nothing goes that is not sealed: the one place where a codec is asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast
from weakref import WeakValueDictionary

import msgspec

from taskflow.broker.change import Add, Applied, Bury, Change, Put, Send, Settlement
from taskflow.broker.message_query import MessagePage, MessageQuery
from taskflow.broker.record import Record, RecordPage, RecordQuery
from taskflow.broker.settings import Holding, Published, Sent
from taskflow.broker.traffic import Traffic
from taskflow.errors import BrokerError
from taskflow.message import FAILURE, Delivery, Message
from taskflow.payload import SEALED
from taskflow.sealing.codec import Codec
from taskflow.sealing.sealed_fields import seal_body, seal_failure, seal_record

B = TypeVar("B", bound=Traffic)
T = TypeVar("T")


class SealedBroker:
    """Used where a Broker is: as the one within, but that values are sealed there. It has whatever
    that one has. Every verb that writes raises SealFailed, too; `apply` answers it."""

    def __init__(self, within: Any, codec: Codec) -> None:
        self.sealed_within = within
        self.codec = codec
        for name in dir(within):
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, getattr(within, name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "sealed_within":
            raise AttributeError(name)
        return getattr(self.sealed_within, name)

    # ---- messages -----------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message], **named: Any) -> Published:
        """As of a broker."""
        done: Published = self.sealed_within.publish(topic, self._messages(messages), **named)
        return done

    def send(self, queue: str, messages: Sequence[Message], **named: Any) -> list[Sent]:
        """As of a broker."""
        done: list[Sent] = self.sealed_within.send(queue, self._messages(messages), **named)
        return done

    def receive(self, *queues: str, holding: Holding | None = None, **named: Any) -> list[Delivery]:
        """As of a broker. What does not open stays sealed."""
        found = self.sealed_within.receive(*queues, holding=holding, **named)
        return [open_delivery(self.codec, one) for one in found]

    def peek(self, *args: Any, **named: Any) -> list[Delivery]:
        """As of a broker."""
        found = self.sealed_within.peek(*args, **named)
        return [open_delivery(self.codec, one) for one in found]

    def find(self, query: MessageQuery) -> MessagePage:
        """As of a broker. A text is looked for in what is stored: not in what is sealed."""
        page: MessagePage = self.sealed_within.find(query)
        opened = [
            one._replace(delivery=open_delivery(self.codec, one.delivery)) for one in page.messages
        ]
        return page._replace(messages=opened)

    def lend(self, *args: Any, **named: Any) -> Delivery:
        """As of a broker."""
        return open_delivery(self.codec, self.sealed_within.lend(*args, **named))

    def resend(self, queue: str, id: str, message: Message) -> str:
        """As of a broker."""
        done: str = self.sealed_within.resend(queue, id, self._message(message))
        return done

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """As of a broker."""
        told = [(self._again(one), seal_failure(self.codec, record)) for one, record in entries]
        done: list[bool] = self.sealed_within.dead_letter(told)
        return done

    def _messages(self, messages: Iterable[Message]) -> list[Message]:
        return [self._message(one) for one in messages]

    def _message(self, message: Message) -> Message:
        body = seal_body(self.codec, message.body)
        if body is message.body:
            return message
        bodies = {name: seal_body(self.codec, one) for name, one in message.bodies.items()}
        return msgspec.structs.replace(message, body=body, bodies=bodies)

    def _again(self, delivery: Delivery) -> Delivery:
        """A delivery as it was received: AWS makes a dead letter of what it is given."""
        return replace(delivery, body=seal_body(self.codec, delivery.body))

    # ---- records ------------------------------------------------------------------------------
    def records(self, *args: Any) -> dict[str, Record]:
        """As of a broker."""
        found = self.sealed_within.records(*args)
        return {key: self._opened(record) for key, record in found.items()}

    def list_records(self, query: RecordQuery) -> RecordPage:
        """As of a broker."""
        page = self.sealed_within.list_records(query)
        return RecordPage([self._opened(record) for record in page.records], page.next)

    def wait_record(self, *args: Any, **named: Any) -> Record | None:
        """As of a broker."""
        found = self.sealed_within.wait_record(*args, **named)
        return None if found is None else self._opened(found)

    def wait_records(self, *args: Any, **named: Any) -> Mapping[str, Record | None]:
        """As of a broker."""
        found = self.sealed_within.wait_records(*args, **named)
        return {
            key: None if record is None else self._opened(record) for key, record in found.items()
        }

    def _opened(self, record: Record) -> Record:
        if SEALED not in record.value:
            return record
        return msgspec.structs.replace(record, value=self.codec.open(record.value))

    # ---- changes ------------------------------------------------------------------------------
    def apply(self, changes: Sequence[Change], durable: bool = True, **named: Any) -> list[Applied]:
        """As of a broker."""
        answers = [Applied()] * len(changes)
        ready: dict[int, Change] = {}
        for at, change in enumerate(changes):
            try:
                ready[at] = self._change(change)
            except BrokerError as error:  # it keeps no other from being made
                answers[at] = Applied(refused=error)
        made = self.sealed_within.apply(list(ready.values()), durable, **named) if ready else ()
        for at, answer in zip(ready, made, strict=True):
            answers[at] = answer
        return answers

    def _change(self, change: Change) -> Change:
        return msgspec.structs.replace(
            change,
            records=[self._record(one) for one in change.records],
            counters=[self._counter(one) for one in change.counters],
            sends=[self._sent(one) for one in change.sends],
            settlements=[self._settled(one) for one in change.settlements],
        )

    def _record(self, one: T) -> T:
        if not isinstance(one, Put):
            return one
        value = seal_record(self.codec, one.kind, one.value)
        return cast(T, msgspec.structs.replace(one, value=value))

    def _counter(self, add: Add) -> Add:
        then = [self._sent(one) if isinstance(one, Send) else self._record(one) for one in add.then]
        return msgspec.structs.replace(add, then=then)

    def _sent(self, one: T) -> T:
        some = self._messages(cast(Any, one).messages)
        return cast(T, msgspec.structs.replace(cast(Any, one), messages=some))

    def _settled(self, one: Settlement) -> Settlement:
        if not isinstance(one, Bury):
            return one
        return Bury(self._again(one.delivery), seal_failure(self.codec, one.failure))


def open_delivery(codec: Codec, delivery: Delivery) -> Delivery:
    """A delivery with what is sealed in its body and its failure record as it was before."""
    if SEALED in delivery.body:
        delivery = replace(delivery, body=codec.open(delivery.body))
    record = delivery.attributes.get(FAILURE)
    if isinstance(record, str) and SEALED in record:
        attributes = {**delivery.attributes, FAILURE: codec.open(record)}
        delivery = replace(delivery, attributes=attributes)
    return delivery


def codec_of(broker: Traffic) -> Codec | None:
    """What a broker seals by, or one within it."""
    found: Codec | None = getattr(broker, "codec", None)
    return found


_made: WeakValueDictionary[tuple[int, int], SealedBroker] = WeakValueDictionary()


def sealed(broker: B, codec: Codec | None) -> B:
    """A broker that seals by this codec: the same one each time, for as long as somebody has it.
    One that seals already stays as it is, and so does one without a codec."""
    if codec is None or codec_of(broker) is not None:
        return broker
    key = id(broker), id(codec)  # both live for as long as what is made of them
    found = _made.get(key)
    return cast(B, found or _made.setdefault(key, SealedBroker(broker, codec)))
