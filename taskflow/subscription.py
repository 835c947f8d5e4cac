"""A subscription: one topic of one handler on a queue."""

from dataclasses import dataclass

from taskflow.entry import Arguments, Entry
from taskflow.event import Context
from taskflow.filters import Scope
from taskflow.signature import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Entry):
    """One topic of one handler, with everything a worker must know to run it.

    `raw`: the whole body is the payload. `filter_policy` (JSON text) chooses what the topic sends
    to the queue; it looks at `filter_scope`.
    """

    topic: str
    signature: Signature
    raw: bool = False
    filter_policy: str | None = None
    filter_scope: Scope = "MessageAttributes"

    def arguments(self, context: Context) -> Arguments:
        """The event, and the context if it is wanted."""
        return Arguments(self.signature.arguments(context))
