"""Which messages of a send to a FIFO queue or topic are new, by their deduplication ids."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from taskflow.broker.settings import Sent
from taskflow.errors import LimitExceeded
from taskflow.later import Later
from taskflow.limits import DEDUPLICATION_WINDOW
from taskflow.message import Message
from taskflow.stores.rows import Rows

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = Later("hashlib")


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
            digest = hashlib.sha256(message.body.encode()).hexdigest()
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
