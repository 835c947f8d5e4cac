"""From a publish to the messages of each queue: filters and envelopes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec.structs import replace

from taskflow.broker.settings import Sent, TopicSettings, TopicSubscription
from taskflow.filters import parse_filter
from taskflow.filters.budget import limited
from taskflow.later import Later
from taskflow.limits import is_fifo
from taskflow.message import NO_ATTRIBUTES, Message
from taskflow.stores.row import Target

if TYPE_CHECKING:
    import hashlib

    from taskflow.wire import envelope
else:
    hashlib = Later("hashlib")
    envelope = Later("taskflow.wire.envelope")


class Wanted:
    """Which of some messages each subscription with a filter wants. Looked up before the broker is
    locked: filters may take their time."""

    def __init__(self, targets: Sequence[Target], messages: Sequence[Message]) -> None:
        """Raises LimitExceeded for messages that would take too long."""
        self.targets = targets
        self._messages = messages  # held, so that no other object has their numbers
        self._pairs: set[tuple[str, int, int]] = set()
        with limited():
            for target in targets:
                subscription = target.subscription
                if subscription.filter_policy is None:
                    continue
                policy = parse_filter(subscription.filter_policy, subscription.filter_scope)
                self._pairs.update(
                    (subscription.id, *_numbers(message))
                    for message in messages
                    if policy.matches(message.attributes, message.body)
                )

    def has(self, subscription: TopicSubscription, message: Message) -> bool:
        """Whether a subscription of `targets` wants a message, or one made from it by `replace`."""
        return (subscription.id, *_numbers(message)) in self._pairs


def _numbers(message: Message) -> tuple[int, int]:
    """What filters look at of a message stays the same object when other fields are replaced."""
    return id(message.body), id(message.attributes)


def has_filters(targets: Sequence[Target]) -> bool:
    """Whether what they get depends on the message."""
    return any(target.subscription.filter_policy is not None for target in targets)


def messages_for(
    target: Target,
    messages: Sequence[Message],
    sent: Sequence[Sent],
    settings: TopicSettings,
    now: float,
    identity: Mapping[str, str],
    wanted: "Wanted",
) -> list[tuple[int, Message]]:
    """What one subscription gets of a publish: the messages its filter lets through, as its queue
    stores them, each with its place in the publish."""
    subscription = target.subscription
    chosen = list(enumerate(zip(messages, sent, strict=True)))
    if subscription.filter_policy is not None:
        chosen = [one for one in chosen if wanted.has(subscription, one[1][0])]
    grouped = is_fifo(subscription.topic) == target.queue.fifo
    return [
        (place, _stored(message, one, target, settings, now, identity, grouped))
        for place, (message, one) in chosen
    ]


def _stored(
    message: Message,
    sent: Sent,
    target: Target,
    settings: TopicSettings,
    now: float,
    identity: Mapping[str, str],
    grouped: bool,
) -> Message:
    subscription = target.subscription
    if not grouped:  # a standard queue under a FIFO topic knows no order
        message = replace(message, group=None, deduplication_id=None)
    if subscription.protocol != "sqs":  # whoever calls the URL writes the envelope
        body = message.bodies.get(subscription.protocol, message.body)
        return replace(message, body=body, bodies={}) if body is not message.body else message
    if subscription.raw:
        if message.subject is None and not message.bodies:
            return message
        body = message.bodies.get("sqs", message.body)
        return replace(message, body=body, subject=None, bodies={})
    body = envelope.notification(message, subscription, settings, sent.sequence, now, identity)
    id = _id_in_queue(message.id, subscription.id)  # the envelope says what it was published under
    return replace(message, id=id, body=body, attributes=NO_ATTRIBUTES, subject=None, bodies={})


def _id_in_queue(published: str, subscription: str) -> str:
    """A UUID (version 8) of its own for every queue, the same whenever it is asked for."""
    digest = bytearray(hashlib.sha256(f"{published} {subscription}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def is_plain(target: Target, topic: str) -> bool:
    """Whether the queue gets messages that have one body and no subject just as they are."""
    subscription = target.subscription
    return (
        subscription.raw
        and subscription.filter_policy is None
        and subscription.protocol == "sqs"
        and is_fifo(topic) == target.queue.fifo
    )
