"""A small HTTP client for the load: connections that stay, requests made before they are needed.

The same bytes go to every server. They look like boto3's, with a signature that nobody checks.
"""

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Refused(Exception):
    """The server answered with an error, or not in a way that can be read."""


class Connection(asyncio.Protocol):
    """One request at a time. Connects when needed: again, after a server that hung up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._data = b""
        self._needed = 0

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises Refused for any but a 200, or none."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._data, self._needed = b"", 0
        self._answer = loop.create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # ---- asyncio's calls --------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refused(f"the server hung up ({error})"))

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if not self._needed:
            end = self._data.find(_HEAD_END)
            if end < 0:
                return
            length = _LENGTH.search(self._data, 0, end + 2)
            self._needed = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._data) >= self._needed:
            self._finish()

    def _finish(self) -> None:
        head, _, body = self._data.partition(_HEAD_END)
        if _CLOSE.search(head) and self._transport is not None:
            self._transport.abort()
            self._transport = None
        if self._answer is None or self._answer.done():
            return
        status = _STATUS.match(head)
        if status is None or status[1] != b"200":
            said = body[:200].decode(errors="replace")
            self._answer.set_exception(Refused(f"{head[:20].decode(errors='replace')}: {said}"))
        else:
            self._answer.set_result(body)


def sqs(port: int, action: str, **members: Any) -> bytes:
    """A request of SQS in AWS JSON 1.0."""
    target = f"X-Amz-Target: AmazonSQS.{action}\r\n"
    body = json.dumps(members).encode()
    return _request(port, "sqs", f"{target}Content-Type: application/x-amz-json-1.0\r\n", body)


def sns(port: int, action: str, **members: str) -> bytes:
    """A request of SNS in the query protocol."""
    body = urlencode({"Action": action, "Version": "2010-03-31"} | members).encode()
    kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
    return _request(port, "sns", kind, body)


def _request(port: int, service: str, headers: str, body: bytes) -> bytes:
    head = (
        "POST / HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Accept-Encoding: identity\r\n"
        f"{headers}"
        "User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11\r\n"
        "X-Amz-Date: 20260101T000000Z\r\n"
        "Authorization: AWS4-HMAC-SHA256 "
        f"Credential=test/20260101/us-east-1/{service}/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date, Signature={'0' * 64}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Queue:
    """One queue of a server: its requests, ready to be written."""

    def __init__(self, port: int, url: str, body: str) -> None:
        self._port = port
        self.url = url
        entries = [{"Id": str(n), "MessageBody": body} for n in range(10)]
        self.send = {
            1: sqs(port, "SendMessage", QueueUrl=url, MessageBody=body),
            10: sqs(port, "SendMessageBatch", QueueUrl=url, Entries=entries),
        }
        self.receive = {n: self.poll(n, 0) for n in (1, 10)}

    def poll(self, limit: int, wait: int) -> bytes:
        return sqs(
            self._port,
            "ReceiveMessage",
            QueueUrl=self.url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait,
        )

    def delete(self, receipts: list[str], batch: int) -> bytes:
        if batch == 1:
            return sqs(self._port, "DeleteMessage", QueueUrl=self.url, ReceiptHandle=receipts[0])
        entries = [{"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(receipts)]
        return sqs(self._port, "DeleteMessageBatch", QueueUrl=self.url, Entries=entries)

    def count(self) -> bytes:
        names = ["ApproximateNumberOfMessages"]
        return sqs(self._port, "GetQueueAttributes", QueueUrl=self.url, AttributeNames=names)


async def create_queue(connection: Connection, port: int, name: str, body: str) -> Queue:
    answer = await connection.ask(sqs(port, "CreateQueue", QueueName=name))
    return Queue(port, json.loads(answer)["QueueUrl"], body)


def receipts_of(answer: bytes) -> list[str]:
    """The receipts of a ReceiveMessage's answer; none when the queue was empty."""
    return [one["ReceiptHandle"] for one in json.loads(answer).get("Messages") or ()]


def failures_of(answer: bytes) -> int:
    """How many entries of a batch failed."""
    return len(json.loads(answer or b"{}").get("Failed") or ())
