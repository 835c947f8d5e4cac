"""The names of the workflows that a broker has runs of: so they are found among those of tasks."""

from collections.abc import Iterable

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery

WORKFLOW = "workflow"
"""The kind of the records; the key is the name."""
PAGE = 1000


def note_workflows(broker: Broker, names: Iterable[str]) -> None:
    """Let these be known as names of workflows. Idempotent. Raises BrokerUnavailable."""
    wanted = sorted(set(names))
    known = broker.records(WORKFLOW, wanted) if wanted else {}
    new = [Put(kind=WORKFLOW, key=name, value="{}") for name in wanted if name not in known]
    if new:
        broker.apply([Change(records=new)])[0].or_raise()


def noted_workflows(broker: Broker) -> list[str]:
    """All names that were ever noted. Raises BrokerUnavailable."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = broker.list_records(RecordQuery(kind=WORKFLOW, after=after, limit=PAGE))
        names += [record.key for record in page.records]
        if (after := page.next) is None:
            return names
