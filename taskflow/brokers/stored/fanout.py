"""From a publish to the messages of each queue: filters, envelopes, deduplication."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID

from msgspec.structs import replace

from taskflow.broker.settings import Sent, TopicSettings, TopicSubscription
from taskflow.errors import LimitExceeded
from taskflow.filters import parse_filter
from taskflow.filters.budget import limited
from taskflow.limits import DEDUPLICATION_WINDOW, is_fifo
from taskflow.message import NO_ATTRIBUTES, Message
from taskflow.stores.row import Target
from taskflow.stores.rows import Rows
from taskflow.wire.envelope import notification


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
    body = notification(message, subscription, settings, sent.sequence, now, identity)
    id = _id_in_queue(message.id, subscription.id)  # the envelope says what it was published under
    return replace(message, id=id, body=body, attributes=NO_ATTRIBUTES, subject=None, bodies={})


def _id_in_queue(published: str, subscription: str) -> str:
    """A UUID (version 8) of its own for every queue, the same whenever it is asked for."""
    digest = bytearray(sha256(f"{published} {subscription}".encode()).digest()[:16])
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


def with_deduplication(
    messages: Sequence[Message], content_based: bool, where: str
) -> list[Message]:
    """FIFO messages with a deduplication id each. Raises LimitExceeded when one has no group, or
    no id where content does not make one."""
    complete = []
    for message in messages:
        if message.group is None:
            raise LimitExceeded(f"{where} is FIFO: a message needs a group")
        if message.deduplication_id is None:
            if not content_based:
                raise LimitExceeded(
                    f"{where} is FIFO: a message needs a deduplication id, or the "
                    f"{where.split()[0]} content-based deduplication"
                )
            digest = sha256(message.body.encode()).hexdigest()
            message = replace(message, deduplication_id=digest)
        complete.append(message)
    return complete


class Deduplication:
    """Which messages of one send to a FIFO queue or topic are new."""

    def __init__(
        self, rows: Rows, owner: str, per_group: bool, messages: Sequence[Message], now: float
    ) -> None:
        self._rows = rows
        self._now = now
        self._scopes = [f"{owner}/{message.group}" if per_group else owner for message in messages]
        self._messages = messages
        keys = [
            (scope, message.deduplication_id or "")
            for scope, message in zip(self._scopes, messages, strict=True)
        ]
        self._known = {
            key: Sent(id, seq) for key, (id, seq) in rows.deduplicated(keys, now).items()
        }
        self.new: list[Message] = []
        self.new_at: list[int] = []
        """Where each of them is among all."""
        seen = set(self._known)
        for at, (scope, message) in enumerate(zip(self._scopes, messages, strict=True)):
            key = (scope, message.deduplication_id or "")
            if key not in seen:
                seen.add(key)
                self.new.append(message)
                self.new_at.append(at)

    def record(self, sent: Sequence[Sent]) -> list[Sent]:
        """Remember the new ones, given what became of them; answers for every message."""
        fresh = iter(sent)
        entries: list[tuple[str, str, str, int]] = []
        answers = []
        for scope, message in zip(self._scopes, self._messages, strict=True):
            key = (scope, message.deduplication_id or "")
            if key not in self._known:
                one = next(fresh)
                self._known[key] = one
                entries.append((*key, one.id, one.sequence))
            answers.append(self._known[key])
        if entries:
            self._rows.deduplicate(entries, self._now + DEDUPLICATION_WINDOW, self._now)
        return answers
