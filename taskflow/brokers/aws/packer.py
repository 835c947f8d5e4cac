"""Packer: makes of a message what SNS and SQS are sent, or refuses what they would not take."""

import json
import math
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from taskflow.brokers.aws.attribute_codec import MAX_USER_ATTRIBUTES, Parcel, carry_over, pack
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.payloads import Payloads
from taskflow.brokers.aws.pointers import SIZE, sized
from taskflow.brokers.aws.reach import Reach
from taskflow.brokers.stored.deduplication import with_deduplication
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_RETENTION, is_fifo
from taskflow.message import Message
from taskflow.wire.queue_attributes import MAX_DELAY

MAX_PUBLISH_BYTES = 262_144  # of one PublishBatch; a larger message goes alone


class Packer:
    """Thread-safe. A payload that is too large goes to `payloads` on the way, if there are such.
    Raises LimitExceeded."""

    def __init__(
        self, clock: Clock, directory: Directory, reach: Reach, payloads: Payloads | None
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._reach = reach
        self._payloads = payloads

    def for_topic(self, topic: str, messages: Sequence[Message]) -> list[Parcel]:
        """Messages as they are published."""
        if is_fifo(topic):
            messages = self._with_keys(topic, messages, True)
        return [self._publish_parcel(topic, message) for message in messages]

    def for_queue(self, queue: str, messages: Sequence[Message]) -> list[Parcel]:
        """Messages as they are sent to one queue."""
        if is_fifo(queue):
            messages = self._with_keys(queue, messages, False)
        most = self._directory.settings(queue).max_message_bytes
        return [self._send_parcel(queue, message, most) for message in messages]

    def _publish_parcel(self, topic: str, message: Message) -> Parcel:
        carried = carry_over(message, topic=topic)
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
            small = self._offload(self._payloads, message, self._reach.count_readers(topic))
            parcel = pack(small, carried, "Message", **more)
        if parcel.size > MAX_PUBLISH_BYTES:  # few topics take more
            most = self._directory.read_topic_settings(topic).max_message_bytes
            if parcel.size > most:
                raise LimitExceeded(
                    f"the message is {parcel.size} bytes as it travels; topic {topic!r} takes "
                    f"{most}"
                )
        return parcel

    def _send_parcel(self, queue: str, message: Message, most: int) -> Parcel:
        where = f"queue {queue!r}"
        if message.delay and message.delay >= self._directory.settings(queue).retention:
            raise LimitExceeded(
                f"a delay of {message.delay:g} s passes the retention of {where}: it would never "
                "be due"
            )
        carried = carry_over(message)
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
        return self._clock.now() + message.delay
