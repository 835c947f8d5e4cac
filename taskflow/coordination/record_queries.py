"""What a query of records asks for, where the place itself does not know: filters and order."""

from taskflow.broker.record import Record, RecordQuery
from taskflow.coordination.change_plan import alive


def due_order(due_at: float, number: int) -> str:
    """Text that sorts as due times and numbers do."""
    return f"{max(0.0, due_at):020.6f}#{number:019d}"


def fits(record: Record, query: RecordQuery, now: float) -> bool:
    """Whether a record is one that is asked for."""
    due = record.due_at
    return (
        alive(record.expires_at, now)
        and (query.label is None or record.label == query.label)
        and (not query.states or record.state in query.states)
        and (query.parent is None or record.parent == query.parent)
        and (query.created_from is None or record.created_at >= query.created_from)
        and (query.created_before is None or record.created_at < query.created_before)
        and (query.due_by is None or (due is not None and due <= query.due_by))
    )
