"""What stands in a message whose payload is in S3.

The pointer and its attribute are those of AWS's extended client libraries, which can read ours, and
we theirs:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-managing-large-messages.html
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from taskflow.message import Attribute

SIZE = "ExtendedPayloadSize"
SIZES = (SIZE, "SQSLargePayloadSize")  # the second is what older libraries write
_CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"
_CLASSES = (_CLASS, "com.amazon.sqs.javamessaging.MessageS3Pointer")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, dict[str, Any]]).decode


class Pointer(NamedTuple):
    """Where a payload is."""

    bucket: str
    key: str

    def body(self) -> str:
        """The body of a message whose payload is there."""
        return _encode([_CLASS, {"s3BucketName": self.bucket, "s3Key": self.key}]).decode()


def find_pointer(body: str, attributes: Mapping[str, Any]) -> Pointer | None:
    """The pointer that is the body of a message; None when the body is the payload itself."""
    if not any(name in attributes for name in SIZES):
        return None
    try:
        kind, fields = _decode(body)
        bucket, key = fields["s3BucketName"], fields["s3Key"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    if kind not in _CLASSES or not isinstance(bucket, str) or not isinstance(key, str):
        return None
    return Pointer(bucket, key)


def sized(body: str) -> Attribute:
    """The attribute `SIZE` of a message whose payload is elsewhere."""
    return Attribute("Number", str(len(body.encode())))
