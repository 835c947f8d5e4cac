"""Sender: PublishBatch and SendMessageBatch, ten messages at a time.

https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from taskflow import forking
from taskflow.broker.settings import Published, Sent
from taskflow.brokers.aws.attribute_codec import Parcel
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.packer import MAX_PUBLISH_BYTES, Packer
from taskflow.brokers.aws.publish_batcher import PublishBatcher
from taskflow.brokers.aws.reach import Reach
from taskflow.brokers.aws.request_batches import cut_by_size, failed, send_batch
from taskflow.clock import Clock
from taskflow.errors import BrokerError, BrokerUnavailable, LimitExceeded
from taskflow.limits import MAX_MESSAGE_BYTES, check_no_connection
from taskflow.message import Message
from taskflow.uninterrupted import uninterrupted

_REMEMBERED = 10_000  # FIFO messages whose AWS ids are kept, to answer for duplicates


class Sender:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`; but a batch is not
    all or none here: what AWS refuses of it is raised, the rest is stored."""

    def __init__(self, clock: Clock, directory: Directory, packer: Packer, reach: Reach) -> None:
        self._directory = directory
        self._packer = packer
        self._reach = reach
        self._batcher = PublishBatcher(clock, MAX_PUBLISH_BYTES, self._publish_batch)
        self._first_ids: OrderedDict[str, str] = OrderedDict()
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    @uninterrupted
    def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> Published:
        check_no_connection(connection, "AWS")
        self._directory.wire_topic(topic) if messages else self._directory.topic_arn(topic)
        parcels = self._packer.for_topic(topic, messages)
        if len(parcels) == 1:
            sent = [self._batcher.submit(topic, parcels[0])]
        else:
            batches = cut_by_size(parcels, MAX_PUBLISH_BYTES)
            sent = _all_sent(f"topic {topic!r}", batches, partial(self._publish_batch, topic))
        return Published(self._reach.count(topic), sent)

    def _publish_batch(self, topic: str, parcels: Sequence[Parcel]) -> list[Sent | BaseException]:
        answers = send_batch(
            lambda entries: self._directory.on_topic(
                topic, "publish_batch", PublishBatchRequestEntries=entries
            ),
            [parcel.entry for parcel in parcels],
        )
        return self._read_answers(f"topic {topic!r}", parcels, answers)

    @uninterrupted
    def send(
        self,
        queue: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Sent]:
        check_no_connection(connection, "AWS")
        self._directory.url(queue)
        parcels = self._packer.for_queue(queue, messages)
        batches = cut_by_size(parcels, MAX_MESSAGE_BYTES)
        return _all_sent(f"queue {queue!r}", batches, partial(self._send_batch, queue))

    def _send_batch(self, queue: str, parcels: Sequence[Parcel]) -> list[Sent | BaseException]:
        answers = send_batch(
            lambda entries: self._directory.on_queue(queue, "send_message_batch", Entries=entries),
            [parcel.entry for parcel in parcels],
        )
        return self._read_answers(f"queue {queue!r}", parcels, answers)

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
        with self._lock:
            first = self._first_ids.setdefault(aws_id, id)
            if len(self._first_ids) > _REMEMBERED:
                self._first_ids.popitem(last=False)
        return first


def _all_sent(
    where: str,
    batches: Iterable[Sequence[Parcel]],
    send: Callable[[Sequence[Parcel]], Sequence[Sent | BaseException]],
) -> list[Sent]:
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
