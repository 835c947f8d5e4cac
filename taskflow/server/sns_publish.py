"""The SNS actions that publish.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from taskflow.broker.settings import TopicSettings
from taskflow.errors import LimitExceeded
from taskflow.limits import is_fifo
from taskflow.message import Attribute, Message, new_id
from taskflow.placing import new_place
from taskflow.server.backend import Backend
from taskflow.server.batches import check_batch, failed
from taskflow.server.sns_topics import LARGE
from taskflow.server.wire_call import Call, Result
from taskflow.wire.envelope import topic_number
from taskflow.wire.error_codes import WireError, invalid_parameter, service_error
from taskflow.wire.message_attributes import read_sns_attributes

_SUBJECT = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,98}")
_GROUP = re.compile(r"[\x21-\x7e]{1,128}")
_PROTOCOLS = ("sqs", "http", "https")


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a client wants published, read but for what fails alone in a batch."""

    given: Mapping[str, Any]
    body: str
    bodies: Mapping[str, str]
    attributes: Mapping[str, str | Attribute]

    @property
    def size(self) -> int:
        """What counts against the topic's maximum: the message as it was given, and attributes."""
        size = len(self.given["Message"].encode())
        for name, value in self.attributes.items():
            typed = Attribute("String", value) if isinstance(value, str) else value
            content = typed.value
            data = content if isinstance(content, bytes) else content.encode()
            size += len(name.encode()) + len(typed.type.encode()) + len(data)
        return size


class PublishActions:
    """One method per operation; each takes a Call and answers the operation's output."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    async def publish(self, call: Call) -> Result:
        """Publish one message."""
        return await self._backend.run(self._publish, self._find_topic(call), call.params, call)

    def _find_topic(self, call: Call) -> str:
        if call.params.get("PhoneNumber"):
            raise invalid_parameter("PhoneNumber Reason: SMS is not supported by this server")
        for parameter in ("TopicArn", "TargetArn"):
            if arn := call.params.get(parameter):
                return self._backend.topic_of_arn(arn, call, parameter)
        raise invalid_parameter("TopicArn or TargetArn Reason: no value for required parameter")

    def _publish(self, topic: str, params: Mapping[str, Any], call: Call) -> Result:
        settings = self._broker.topic_settings(topic)
        message = self._make(_read(params, topic, settings), settings, call)
        sent = self._broker.publish(topic, [message]).sent[0]
        return {"MessageId": sent.id, "SequenceNumber": _number(topic, sent.sequence)}

    async def publish_batch(self, call: Call) -> Result:
        """Publish up to ten messages, each of which may fail alone."""
        topic = self._backend.topic_of_arn(call.params["TopicArn"], call)
        entries = call.params["PublishBatchRequestEntries"]
        return await self._backend.run(self._publish_batch, topic, entries, call)

    def _publish_batch(self, topic: str, given: Sequence[dict[str, Any]], call: Call) -> Result:
        settings = self._broker.topic_settings(topic)
        entries = [_read(one, topic, settings) for one in check_batch(given, "sns")]
        if sum(entry.size for entry in entries) > max(settings.max_message_bytes, LARGE):
            text = "The length of all the messages put together is more than the limit."
            raise service_error("sns", "BatchRequestTooLongException", text)
        messages: dict[str, Message] = {}
        refused = []
        for entry in entries:
            id = entry.given["Id"]
            try:
                messages[id] = self._make(entry, settings, call)
            except WireError as error:
                refused.append(failed(id, error))
        sent = self._broker.publish(topic, list(messages.values())).sent if messages else ()
        return {
            "Successful": [
                {
                    "Id": id,
                    "MessageId": one.id,
                    "SequenceNumber": _number(topic, one.sequence),
                }
                for id, one in zip(messages, sent, strict=True)
            ],
            "Failed": refused,
        }

    def _make(self, entry: _Entry, settings: TopicSettings, call: Call) -> Message:
        subject = entry.given.get("Subject")
        if subject is not None and not _SUBJECT.fullmatch(subject):
            raise invalid_parameter("Subject")
        if not entry.body or not all(entry.bodies.values()):
            raise invalid_parameter("Empty message")
        if entry.size > settings.max_message_bytes:
            raise invalid_parameter("Message too long")
        try:
            message = Message(
                new_id(self._broker.clock.now(), self._broker.random, new_place(self._broker)),
                entry.body,
                entry.attributes,
                group=entry.given.get("MessageGroupId"),
                deduplication_id=entry.given.get("MessageDeduplicationId"),
                trace=call.trace or None,
                subject=subject,
                bodies=entry.bodies,
            )
            for body in entry.bodies.values():
                replace(message, body=body)
        except LimitExceeded as error:
            raise invalid_parameter(str(error)) from None
        return message


def _read(given: Mapping[str, Any], topic: str, settings: TopicSettings) -> _Entry:
    """Read an entry. What is wrong here fails a whole batch, as on SNS."""
    structure = given.get("MessageStructure")
    if structure and structure != "json":
        raise invalid_parameter("MessageStructure Reason: json is the only valid value")
    bodies = _read_bodies(given["Message"]) if structure else {"default": given["Message"]}
    _check_order(given, topic, settings)
    attributes = read_sns_attributes(given.get("MessageAttributes"))
    chosen = {name: bodies[name] for name in _PROTOCOLS if name in bodies}
    return _Entry(given, bodies["default"], chosen, attributes)


def _check_order(given: Mapping[str, Any], topic: str, settings: TopicSettings) -> None:
    group, key = given.get("MessageGroupId"), given.get("MessageDeduplicationId")
    if is_fifo(topic):
        if group is None:
            raise invalid_parameter("The MessageGroupId parameter is required for FIFO topics")
        if key is None and not settings.content_based_deduplication:
            raise invalid_parameter(
                "The topic should either have ContentBasedDeduplication enabled or "
                "MessageDeduplicationId provided explicitly"
            )
    elif key is not None:
        raise invalid_parameter(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter "
            "that is not valid for this topic type"
        )
    for name, text in (("MessageGroupId", group), ("MessageDeduplicationId", key)):
        if text is not None and not _GROUP.fullmatch(text):
            raise invalid_parameter(
                f"{name} Reason: can only include alphanumeric and punctuation characters. "
                "1 to 128 in length"
            )


def _read_bodies(text: str) -> dict[str, str]:
    """What `MessageStructure=json` says by protocol, the last where it says so twice. Values that
    are no text are left out."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise invalid_parameter("Message Structure - JSON message body failed to parse")
    bodies = {name: body for name, body in found.items() if isinstance(body, str)}
    if "default" not in bodies:
        raise invalid_parameter("Message Structure - No default entry in JSON message body")
    return bodies


def _number(topic: str, sequence: int) -> str | None:
    return topic_number(sequence) if is_fifo(topic) else None
