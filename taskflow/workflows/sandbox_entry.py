"""A workflow whose steps are not run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from taskflow.broker import Broker
from taskflow.outgoing import outgoing
from taskflow.tasks.work import Work
from taskflow.workflows.sandbox_journal import SandboxJournal
from taskflow.workflows.steering import Steering
from taskflow.workflows.step_run import running
from taskflow.workflows.workflow_entry import WorkflowEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEntry(WorkflowEntry):
    """Made of that of a workflow by `sandboxed`; `answers` are those of steps, as JSON."""

    answers: Mapping[str, msgspec.Raw] = field(default_factory=dict)

    def begin(self, work: Work, broker: Broker) -> None:
        """An attempt begins, with the steps that are kept, and answers for others."""
        assert self.durable is not None
        version = self.durable.version
        journal = SandboxJournal(broker, work, version=version, answers=self.answers)
        journal.load()
        work.steering, work.outgoing = Steering(journal), journal.outgoing
        outgoing.set(journal.outgoing)
        running.set(None)


def sandboxed(entry: WorkflowEntry, answers: Mapping[str, msgspec.Raw]) -> SandboxEntry:
    """The workflow, for an attempt in a sandbox."""
    known: dict[str, Any] = {one.name: getattr(entry, one.name) for one in fields(entry)}
    return SandboxEntry(**known, answers=answers)
