"""What the code of a run sends: between its steps as steps of their own, within one with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from taskflow.broker.change import Add, Publish, Put, Send
from taskflow.errors import WorkflowError
from taskflow.outgoing import Outgoing
from taskflow.workflows.checkpoint import Checkpoint

if TYPE_CHECKING:
    from taskflow.workflows.journal import Journal


class JournalOutgoing(Outgoing, kw_only=True):
    """Collects what is to be kept next. What the code sends is a step: made once, under an id of
    its own, which is the same however often the code comes by."""

    journal: Journal
    ids: Counter[str] = msgspec.field(default_factory=Counter)

    def add(
        self,
        what: str,
        *,
        sends: Sequence[Send | Publish] = (),
        records: Sequence[Put] = (),
        counters: Sequence[Add] = (),
    ) -> None:
        journal = self.journal
        with journal.lock:
            step, at, found = journal.enter(f"send:{what}")
            if found is not None:
                journal.drift.compare(found, at, what, "")
                return
            journal.note(Checkpoint(step=step, at=at, kind="send", function=what))
            super().add(what, sends=sends, records=records, counters=counters)

    def check_may_join(self) -> None:
        raise WorkflowError(
            "connection= between the steps of a workflow: this code is run again and again, and "
            "would store each time; do it in a step, such as ctx.transaction_on"
        )

    def new_id(self, what: str) -> str:
        self.ids[what] += 1
        return f"{self.journal.life}:{what}:{self.ids[what]}"

    def once(self, what: str, call: Callable[[], tuple[str, bool]]) -> tuple[str, bool]:
        journal = self.journal
        with journal.lock:
            step, at, found = journal.enter(f"send:{what}")
            if found is not None:
                journal.drift.compare(found, at, what, "")
                return msgspec.json.decode(found.result, type=tuple[str, bool])
            journal.settle_before_effect()
            answer = call()
            result = msgspec.Raw(msgspec.json.encode(answer))
            journal.note(
                Checkpoint(step=step, at=at, kind="send", function=what, result=result), vital=True
            )
            return answer

    def flush(self) -> None:
        self.journal.flush()

    def clear(self) -> None:
        """All of it was kept."""
        self.sends, self.records, self.counters = [], [], []


class StepOutgoing(Outgoing, kw_only=True):
    """Collects what the function of a step sends, under ids that are the same in each attempt: it
    is sent with the step's checkpoint, and only then."""

    key: str
    drawn: int = 0

    def new_id(self, what: str) -> str:
        self.drawn += 1
        return f"{self.key}:{self.drawn}"
