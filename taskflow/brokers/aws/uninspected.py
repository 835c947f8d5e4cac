"""What AWS cannot do: SQS shows no message to anybody but who receives it."""

from collections.abc import Collection
from typing import NoReturn

from taskflow.broker.cause import Cause
from taskflow.broker.message_query import MessagePage, MessageQuery
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message


class Uninspected:
    """Says so, in place of the verbs of `broker.inspection` that look into queues."""

    def find(self, query: MessageQuery) -> MessagePage:
        """Raises LimitExceeded."""
        _refuse("find messages")

    def causes(self, queue: str | None = None) -> list[Cause]:
        """Raises LimitExceeded."""
        _refuse("count dead letters by cause")

    def resend(self, queue: str, id: str, message: Message) -> str:
        """Raises LimitExceeded."""
        _refuse("replace a dead letter in one change")

    def transfer(self, queue: str, ids: Collection[str], to: str) -> int:
        """Raises LimitExceeded."""
        _refuse("choose dead letters to move; `taskflow dlq move` moves all")

    def lend(self, queue: str, id: str, seconds: float) -> Delivery:
        """Raises LimitExceeded."""
        _refuse("lend one message")


def _refuse(what: str) -> NoReturn:
    raise LimitExceeded(
        f"a broker at aws:// cannot {what}: SQS shows a message to who receives it, and nobody else"
    )
