"""The SNS envelope: the JSON around a message for subscriptions that are not raw.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache

from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.clock import rfc3339
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.wire.arns import write_arn
from taskflow.wire.attribute_text import to_text
from taskflow.wire.topic_names import to_sns

ACCOUNT, REGION = "000000000000", "us-east-1"
_SIGNED = (  # in this order
    "Message",
    "MessageId",
    "Subject",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)


def wire_topic(topic: str, home: str) -> tuple[str, str]:
    """(region, wire name) of a topic of the broker: `.` is `-` on the wire, and a name without a
    region is of the region `home`."""
    region, slash, name = topic.rpartition("/")
    return (region if slash else home, to_sns(name))


def topic_arn(topic: str, identity: Mapping[str, str]) -> str:
    """The ARN of a topic by its name in the broker."""
    region, name = wire_topic(topic, identity.get("region", REGION))
    return write_arn("sns", region, identity.get("account", ACCOUNT), name)


def notification(
    message: Message,
    subscription: TopicSubscription,
    settings: TopicSettings,
    sequence: int,
    now: float,
    identity: Mapping[str, str],
) -> str:
    """The envelope of one message for one subscription, signed if the broker has been served. Those
    of FIFO topics carry no signature, as on SNS."""
    arn = topic_arn(subscription.topic, identity)
    envelope: dict[str, object] = {"Type": "Notification", "MessageId": message.id}
    if is_fifo(subscription.topic):
        envelope["SequenceNumber"] = topic_number(sequence)
    envelope["TopicArn"] = arn
    if message.subject is not None:
        envelope["Subject"] = message.subject
    envelope["Message"] = message.bodies.get(subscription.protocol, message.body)
    envelope["Timestamp"] = milliseconds(now)
    if not is_fifo(subscription.topic):
        sign(envelope, settings.signature_version, identity)
    envelope["UnsubscribeURL"] = (
        f"{identity.get('url', '')}/?Action=Unsubscribe&SubscriptionArn={arn}:{subscription.id}"
    )
    if message.attributes:
        envelope["MessageAttributes"] = {
            name: dict(zip(("Type", "Value"), to_text(value), strict=True))
            for name, value in message.attributes.items()
        }
    return json.dumps(envelope, ensure_ascii=False)


def topic_number(sequence: int) -> str:
    """A sequence number as SNS writes it: never one of a queue, which begin with zeros."""
    return str(10**19 + sequence)


def confirmation(
    subscription: TopicSubscription,
    id: str,
    settings: TopicSettings,
    now: float,
    identity: Mapping[str, str],
) -> str:
    """What asks the owner of a URL to confirm a subscription."""
    arn = topic_arn(subscription.topic, identity)
    envelope: dict[str, object] = {
        "Type": "SubscriptionConfirmation",
        "MessageId": id,
        "Token": subscription.token or "",
        "TopicArn": arn,
        "Message": f"You have chosen to subscribe to the topic {arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": f"{identity.get('url', '')}/?Action=ConfirmSubscription"
        f"&TopicArn={arn}&Token={subscription.token}",
        "Timestamp": milliseconds(now),
    }
    sign(envelope, settings.signature_version, identity)
    return json.dumps(envelope, ensure_ascii=False)


def milliseconds(seconds: float) -> str:
    """Epoch seconds as SNS writes them: `2026-01-31T12:00:00.000Z`."""
    return rfc3339(seconds)[:-4] + "Z"


def sign(envelope: dict[str, object], version: int, identity: Mapping[str, str]) -> None:
    """Add SignatureVersion, Signature and SigningCertURL, as a client's verifier expects them.

    https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    envelope["SignatureVersion"] = str(version)
    key = identity.get("key")
    if key is None:
        envelope["Signature"] = envelope["SigningCertURL"] = ""
        return
    lines = "".join(f"{name}\n{envelope[name]}\n" for name in _SIGNED if name in envelope)
    envelope["Signature"] = b64encode(_signature(key, lines.encode(), version)).decode()
    envelope["SigningCertURL"] = f"{identity['url']}{identity['certificate_path']}"


@lru_cache(16)  # the same for every subscription of a topic; a signature is 1 ms of CPU
def _signature(key: str, text: bytes, version: int) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return _private_key(key).sign(  # type: ignore[no-any-return]
        text, padding.PKCS1v15(), hashes.SHA1() if version == 1 else hashes.SHA256()
    )


@lru_cache(4)
def _private_key(pem: str):  # type: ignore[no-untyped-def]  # cryptography may be absent
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem.encode(), None)
