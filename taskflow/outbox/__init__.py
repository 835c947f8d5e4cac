"""Events saved in the user's own database transaction, and the relay that publishes them.

Save first and crash: no event. Publish first and crash: an event about what never was. `publish`
writes a row in the transaction that changes your data, so one never exists without the other; a
Relay publishes the rows and marks them. A crash in between publishes a row again under the same
id, which queues absorb.

    from taskflow import outbox

    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.publish(session, "order.created", {"order_id": order.id})

    relay = outbox.Relay(outbox.SqlAlchemy(engine), broker)
    relay.start()

`session` is an SQLAlchemy Session or Connection, or a Django connection (`django.db.connection`).
"""

from taskflow.outbox.databases import Database, Django, SqlAlchemy
from taskflow.outbox.relay import Relay
from taskflow.outbox.saved_rows import Outbox, Refused, Row, create_table
from taskflow.outbox.saving import publish

__all__ = [
    "Database",
    "Django",
    "Outbox",
    "Refused",
    "Relay",
    "Row",
    "SqlAlchemy",
    "create_table",
    "publish",
]
