"""Payloads that are too large for SNS and SQS: in S3, with a pointer in the message's place.

An object of ours is removed when every queue that was subscribed when it was published has
acknowledged it; its key says how many those were. Each but the last leaves a mark beside it.
"""

import re
from random import Random
from typing import Any

from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.pointers import Pointer
from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_PAYLOAD_BYTES

_OURS = re.compile(r"[0-9a-f]{32}-for-([0-9]+)")


class Payloads:
    """A bucket, and what stands before the keys in it. Thread-safe."""

    def __init__(self, api: Api, bucket: str, prefix: str, random: Random) -> None:
        self._api = api
        api.client("s3")  # making one is not thread-safe, using it is
        self._bucket = bucket
        self._prefix = prefix
        self._random = random

    def put(self, body: str, readers: int) -> Pointer:
        """Store a payload that so many queues will acknowledge (0: it stays). Raises
        LimitExceeded, BrokerUnavailable."""
        content = body.encode()
        if len(content) > MAX_PAYLOAD_BYTES:
            raise LimitExceeded(
                f"the payload is {len(content)} bytes; {MAX_PAYLOAD_BYTES} are allowed in S3"
            )
        key = f"{self._prefix}{self._random.getrandbits(128):032x}-for-{readers}"
        self._call("put_object", key, Body=content, ContentType="application/json")
        return Pointer(self._bucket, key)

    def get(self, pointer: Pointer) -> str:
        """Read a payload. Raises LimitExceeded when it is not there, or not text. A message must
        not choose what is read: nothing is, elsewhere than where ours are."""
        if not self._has(pointer):
            raise LimitExceeded(
                f"its payload is s3://{pointer.bucket}/{pointer.key}; this broker reads below "
                f"s3://{self._bucket}/{self._prefix} (payloads=)"
            )
        content = self._api.read_object(self._bucket, pointer.key)
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise LimitExceeded(f"its payload {pointer.key!r} is not in UTF-8") from None

    def acknowledge(self, pointer: Pointer, queue: str) -> None:
        """A queue is done with a payload: remove it if that was the last one to need it."""
        key, readers = pointer.key, self._count_readers(pointer)
        if readers == 1:
            self._call("delete_object", key)
        if readers < 2:
            return
        self._call("put_object", f"{key}/{queue}", Body=b"")
        answer = self._api.call(
            "s3", "list_objects_v2", self._bucket, Bucket=self._bucket, Prefix=f"{key}/"
        )
        marks = [one["Key"] for one in answer.get("Contents") or ()]
        if len(marks) >= readers:
            for gone in (key, *marks):  # a mark that stays is an empty object
                self._call("delete_object", gone)

    def _count_readers(self, pointer: Pointer) -> int:
        """How many queues are to acknowledge it; 0 when nobody knows, or it is not ours."""
        name = pointer.key.removeprefix(self._prefix)
        found = _OURS.fullmatch(name) if self._has(pointer) else None
        return int(found[1]) if found is not None else 0

    def _has(self, pointer: Pointer) -> bool:
        return pointer.bucket == self._bucket and pointer.key.startswith(self._prefix)

    def _call(self, method: str, key: str, **params: Any) -> None:
        where = f"{self._bucket}/{key}"
        self._api.call("s3", method, where, Bucket=self._bucket, Key=key, **params)
