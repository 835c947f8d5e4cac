"""The broker verbs that send, over AWS: PublishBatch and SendMessageBatch, ten at a time.

https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from taskflow.broker.settings import Published, Sent
from taskflow.brokers.aws.attribute_codec import MAX_USER_ATTRIBUTES, Carried, Parcel, pack
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.pointers import SIZE, sized
from taskflow.brokers.aws.polls import Polls
from taskflow.brokers.aws.publish_batcher import PublishBatcher
from taskflow.brokers.aws.queue_attributes import MAX_DELAY
from taskflow.brokers.aws.request_batches import cut_by_size, failed, send_batch
from taskflow.brokers.stored.fanout import with_deduplication
from taskflow.clock import Clock
from taskflow.errors import BrokerError, BrokerUnavailable, LimitExceeded
from taskflow.limits import MAX_MESSAGE_BYTES, MAX_RETENTION, is_fifo
from taskflow.message import Message

MAX_PUBLISH_BYTES = 262_144  # of one PublishBatch; a larger message goes alone
REACH_KEPT = 60.0  # seconds for which the number of subscriptions of a topic is believed
_REMEMBERED = 10_000  # FIFO messages whose AWS ids are kept, to answer for duplicates


class Sending:
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract.

    A batch is not all or none here: what AWS refuses of it is raised, the rest is stored.
    """

    clock: Clock
    _directory: Directory
    _polls: Polls
    _payloads: Payloads | None
    _reach: dict[str, tuple[int, float]]
    _publishers: PublishBatcher[Parcel, Sent]
    _first_ids: OrderedDict[str, str]

    def publish(self, topic: str, messages: Sequence[Message]) -> Published:
        self._directory.wire_topic(topic) if messages else self._directory.topic_arn(topic)
        if is_fifo(topic):
            messages = self._with_keys(topic, messages, True)
        parcels = [self._publish_parcel(topic, message) for message in messages]
        if len(parcels) == 1:
            sent = [self._publishers.submit(topic, parcels[0])]
        else:
            batches = cut_by_size(parcels, MAX_PUBLISH_BYTES)
            sent = _all_sent(f"topic {topic!r}", batches, partial(self._publish_batch, topic))
        return Published(self._count_subscriptions(topic), sent)

    def _publish_parcel(self, topic: str, message: Message) -> Parcel:
        carried = Carried(id=message.id, topic=topic, sender=message.sender)
        carried.due = self._due(message, f"topic {topic!r}", is_fifo(topic))
        more: dict[str, Any] = {"Subject": message.subject, "MessageGroupId": message.group}
        if is_fifo(topic):
            more["MessageDeduplicationId"] = message.deduplication_id
        else:
            carried.key = message.deduplication_id
        if message.bodies:
            bodies = {"default": message.body, **message.bodies}
            more |= {"Message": json.dumps(bodies), "MessageStructure": "json"}
        parcel = pack(message, carried, "Message", **more)
        if parcel.size > MAX_PUBLISH_BYTES and self._payloads is not None and not message.bodies:
            small = self._offload(self._payloads, message, self._count_readers(topic))
            parcel = pack(small, carried, "Message", **more)
        if parcel.size > MAX_PUBLISH_BYTES:  # few topics take more
            most = self._directory.read_topic_settings(topic).max_message_bytes
            if parcel.size > most:
                raise LimitExceeded(
                    f"the message is {parcel.size} bytes as it travels; topic {topic!r} takes "
                    f"{most}"
                )
        return parcel

    def _publish_batch(self, topic: str, parcels: Sequence[Parcel]) -> list[Sent | BaseException]:
        answers = send_batch(
            lambda entries: self._directory.on_topic(
                topic, "publish_batch", PublishBatchRequestEntries=entries
            ),
            [parcel.entry for parcel in parcels],
        )
        return self._read_answers(f"topic {topic!r}", parcels, answers)

    def _count_subscriptions(self, topic: str) -> int:
        """How many queues a publish reaches. Asked once a minute: it costs a request. Whoever may
        publish but not look is told 1."""
        now = self.clock.now()
        count, until = self._reach.get(topic, (0, 0.0))
        if now < until:
            return count
        try:
            answer = self._directory.on_topic(topic, "get_topic_attributes")
            count = int(answer["Attributes"].get("SubscriptionsConfirmed", 0))
            if not count:  # the number lags behind, the list does not
                count = len(
                    self._directory.pages("list_subscriptions_by_topic", "Subscriptions", topic)
                )
        except BrokerUnavailable:
            count = 1
        if count:
            self._reach[topic] = count, now + REACH_KEPT
        return count

    def _count_readers(self, topic: str) -> int:
        """How many queues will acknowledge a payload, asked for each: a queue too few would have
        it removed under the others. 0 for whoever may publish but not look."""
        try:
            found = self._directory.pages("list_subscriptions_by_topic", "Subscriptions", topic)
        except BrokerUnavailable:
            return 0
        return len(found)

    @staticmethod
    def _offload(payloads: Payloads, message: Message, readers: int) -> Message:
        """The message with its payload in S3. Raises LimitExceeded."""
        if len(message.attributes) >= MAX_USER_ATTRIBUTES:
            raise LimitExceeded(
                f"{len(message.attributes)} message attributes; {MAX_USER_ATTRIBUTES - 1} are "
                "allowed on AWS with a payload in S3"
            )
        pointer = payloads.put(message.body, readers)
        attributes = {**message.attributes, SIZE: sized(message.body)}
        return replace(message, body=pointer.body(), attributes=attributes)

    # ---- queues -----------------------------------------------------------------------------
    def send(self, queue: str, messages: Sequence[Message]) -> list[Sent]:
        self._directory.url(queue)
        if is_fifo(queue):
            messages = self._with_keys(queue, messages, False)
        most = self._directory.settings(queue).max_message_bytes
        parcels = [self._send_parcel(queue, message, most) for message in messages]
        return self._send_parcels(queue, parcels)

    def _send_parcels(self, queue: str, parcels: Sequence[Parcel]) -> list[Sent]:
        batches = cut_by_size(parcels, MAX_MESSAGE_BYTES)
        sent = _all_sent(f"queue {queue!r}", batches, partial(self._send_batch, queue))
        return sent

    def _send_parcel(self, queue: str, message: Message, most: int) -> Parcel:
        where = f"queue {queue!r}"
        if message.delay and message.delay >= self._directory.settings(queue).retention:
            raise LimitExceeded(
                f"a delay of {message.delay:g} s passes the retention of {where}: it would never "
                "be due"
            )
        carried = Carried(id=message.id, sender=message.sender)
        more: dict[str, Any] = {"MessageGroupId": message.group}
        due = self._due(message, where, is_fifo(queue))
        if is_fifo(queue):
            more["MessageDeduplicationId"] = message.deduplication_id
        else:
            carried.key = message.deduplication_id
            if message.delay is not None:
                more["DelaySeconds"] = min(MAX_DELAY, math.ceil(message.delay))
            if message.delay and message.delay > MAX_DELAY:
                carried.due = due
        if message.trace is not None:
            header = {"DataType": "String", "StringValue": message.trace}
            more["MessageSystemAttributes"] = {"AWSTraceHeader": header}
        parcel = pack(message, carried, "MessageBody", **more)
        if parcel.size > most and self._payloads is not None:
            small = self._offload(self._payloads, message, 1)
            parcel = pack(small, carried, "MessageBody", **more)
        if parcel.size > most:
            raise LimitExceeded(
                f"the message is {parcel.size} bytes as it travels; queue {queue!r} takes {most}"
            )
        return parcel

    def _send_batch(self, queue: str, parcels: Sequence[Parcel]) -> list[Sent | BaseException]:
        answers = send_batch(
            lambda entries: self._directory.on_queue(queue, "send_message_batch", Entries=entries),
            [parcel.entry for parcel in parcels],
        )
        return self._read_answers(f"queue {queue!r}", parcels, answers)

    # ---- both -------------------------------------------------------------------------------
    def _with_keys(
        self, name: str, messages: Sequence[Message], to_topic: bool
    ) -> Sequence[Message]:
        """FIFO messages with a deduplication id each; what the name says is asked only if one
        lacks it."""
        content_based = False
        if any(message.deduplication_id is None for message in messages):
            content_based = (
                self._directory.read_topic_settings(name).content_based_deduplication
                if to_topic
                else self._directory.settings(name).content_based_deduplication
            )
        where = f"topic {name!r}" if to_topic else f"queue {name!r}"
        return with_deduplication(messages, content_based, where)

    def _due(self, message: Message, where: str, fifo: bool) -> float:
        if not message.delay:
            return 0.0
        if fifo:
            raise LimitExceeded(f"{where} is FIFO: its messages have no delays of their own")
        if message.delay >= MAX_RETENTION:
            raise LimitExceeded(
                f"a delay of {message.delay:g} s passes the longest retention "
                f"({MAX_RETENTION:g} s): it would never be due"
            )
        return self.clock.now() + message.delay

    def _read_answers(
        self, where: str, parcels: Sequence[Parcel], answers: Sequence[Any]
    ) -> list[Sent | BaseException]:
        read: list[Sent | BaseException] = []
        for parcel, answer in zip(parcels, answers, strict=True):
            if failed(answer):
                text = f"{where}: message {parcel.id}: {answer['Code']}: {answer.get('Message')}"
                refused = answer.get("SenderFault")
                read.append(LimitExceeded(text) if refused else BrokerUnavailable(text))
                continue
            number = answer.get("SequenceNumber")
            id = self._first_id(answer["MessageId"], parcel.id) if number else parcel.id
            read.append(Sent(id, int(number or 0)))
        return read

    def _first_id(self, aws_id: str, id: str) -> str:
        """The id under which a FIFO message was first sent, as far as this process knows: for a
        duplicate AWS answers with the first one's own."""
        first = self._first_ids.setdefault(aws_id, id)
        if len(self._first_ids) > _REMEMBERED:
            self._first_ids.popitem(last=False)
        return first


def _all_sent(where: str, batches: Any, send: Any) -> list[Sent]:
    """Send all batches; raise what failed, once the others are stored, and say how many are."""
    sent: list[Sent] = []
    errors: list[BaseException] = []
    for batch in batches:
        try:
            answers = send(batch)
        except BrokerError as error:
            if not sent:
                raise
            raise BrokerUnavailable(f"{error}; {len(sent)} messages before were stored") from error
        for answer in answers:
            if isinstance(answer, BaseException):
                errors.append(answer)
            else:
                sent.append(answer)
    if errors:
        stored = f"; {len(sent)} others were stored" if sent else ""
        shown = "; ".join(str(error) for error in errors[:3])
        raise type(errors[0])(f"{len(errors)} not taken: {shown}{stored}")
    return sent
