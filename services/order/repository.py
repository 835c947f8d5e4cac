"""Where orders are kept, with the requests that made them. Every method is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.database import READ_ONLY
from services.order.answers import Answer
from services.order.events import OrderEvent, Save, save_events
from services.order.model import NewItem, Order, Status
from services.order.tables import orders, requests

PART = 1_000_000_000  # cents
_ITEMS = msgspec.json.Decoder(tuple[NewItem, ...])


@dataclass(frozen=True, slots=True)
class Request:
    """A request that carried an idempotency key; `answer` once it has one."""

    key: str
    fingerprint: str
    order_id: str
    answer: Answer | None = None


class OrderRepository:
    """Reads and writes orders, and saves what is to be told of them by `save`. Thread-safe."""

    def __init__(self, engine: Engine, save: Save = save_events) -> None:
        self._engine = engine
        self._save = save

    def add(
        self, order: Order, request: Request | None, events: Sequence[OrderEvent] = ()
    ) -> Request | None:
        """Save a new order, its request and its events: all, or nothing when the key is taken.

        Answers the request that has the key already, None when the order was saved.
        """
        try:
            with self._engine.begin() as connection:
                if request is not None:
                    taken = _find_request(connection, request.key)
                    if taken is not None:
                        return taken
                connection.execute(insert(orders).values(_to_row(order)))
                if request is not None:
                    connection.execute(
                        insert(requests).values(
                            key=request.key,
                            fingerprint=request.fingerprint,
                            order_id=order.id,
                            created_at=order.created_at,
                            **_answer_columns(request.answer),
                        )
                    )
                self._save(connection, events)
        except IntegrityError:
            # Only where writers overlap (PostgreSQL): another request took the key meanwhile.
            taken = self.find_request(request.key) if request is not None else None
            if taken is None:
                raise
            return taken
        return None

    def change(
        self, order: Order, answer: Answer | None = None, events: Sequence[OrderEvent] = ()
    ) -> bool:
        """Save a changed order, the answer to its request and its events.

        `order.version` must be one more than the stored one; else somebody else changed the
        order: nothing is saved and the answer is False.
        """
        row = _to_row(order)
        with self._engine.begin() as connection:
            done = connection.execute(
                update(orders)
                .where(orders.c.id == order.id, orders.c.version == order.version - 1)
                .values(row)
            )
            if done.rowcount != 1:
                return False
            if answer is not None:
                connection.execute(
                    update(requests)
                    .where(requests.c.order_id == order.id)
                    .values(**_answer_columns(answer))
                )
            self._save(connection, events)
        return True

    def add_event(self, event: OrderEvent) -> None:
        """Save an event that goes with no change of an order."""
        with self._engine.begin() as connection:
            self._save(connection, [event])

    def discard(self, order: Order) -> None:
        """Delete an order that never came to be, and its request."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(orders).where(
                    orders.c.id == order.id,
                    orders.c.version == order.version,
                    orders.c.status == Status.CHARGING,
                )
            )

    def find(self, order_id: str) -> Order | None:
        """The order of that id."""
        with self._read() as connection:
            row = connection.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
        return None if row is None else _to_order(row)

    def find_request(self, key: str) -> Request | None:
        """The request that carried that key."""
        with self._read() as connection:
            return _find_request(connection, key)

    def page(self, limit: int, before: int | None, status: Status | None) -> list[Order]:
        """Up to `limit` orders, newest first, older than the one numbered `before`."""
        query = select(orders).order_by(orders.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(orders.c.seq < before)
        if status is not None:
            query = query.where(orders.c.status == status)
        with self._read() as connection:
            return [_to_order(row) for row in connection.execute(query)]

    def unsettled(self, before: float) -> list[Order]:
        """Orders being charged that were created, and left by whoever charged them, `before`."""
        query = select(orders).where(
            orders.c.status == Status.CHARGING,
            orders.c.created_at < before,
            orders.c.locked_until < before,
        )
        with self._read() as connection:
            return [_to_order(row) for row in connection.execute(query)]

    def totals(self) -> dict[Status, tuple[int, int]]:
        """For each status: how many orders, and their sum in cents."""
        # In two parts: together the totals of all orders may be more than a column holds.
        high = func.sum(orders.c.total_cents // PART)
        low = func.sum(orders.c.total_cents % PART)
        query = select(orders.c.status, func.count(), high, low).group_by(orders.c.status)
        with self._read() as connection:
            found = {
                Status(row[0]): (int(row[1]), int(row[2]) * PART + int(row[3]))
                for row in connection.execute(query)
            }
        return {status: found.get(status, (0, 0)) for status in Status}

    def forget_requests(self, before: float) -> int:
        """Delete answered requests made before that time; answers how many."""
        with self._engine.begin() as connection:
            return connection.execute(
                delete(requests).where(
                    requests.c.created_at < before, requests.c.answer_status.is_not(None)
                )
            ).rowcount

    def ping(self) -> None:
        """Read something; raises SQLAlchemyError when the database cannot be used."""
        with self._read() as connection:
            connection.execute(select(orders.c.seq).limit(1))

    def _read(self) -> Connection:
        return self._engine.connect().execution_options(**READ_ONLY)


def _find_request(connection: Connection, key: str) -> Request | None:
    row = connection.execute(select(requests).where(requests.c.key == key)).one_or_none()
    if row is None:
        return None
    answer = None
    if row.answer_status is not None:
        headers = msgspec.json.decode(row.answer_headers, type=dict[str, str])
        answer = Answer(row.answer_status, headers, row.answer_body.encode())
    return Request(row.key, row.fingerprint, row.order_id, answer)


def _answer_columns(answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {}
    return {
        "answer_status": answer.status,
        "answer_headers": msgspec.json.encode(answer.headers).decode(),
        "answer_body": answer.body.decode(),
    }


def _to_row(order: Order) -> dict[str, Any]:
    row = {name: getattr(order, name) for name in Order.__dataclass_fields__ if name != "seq"}
    row["items"] = msgspec.json.encode(order.items).decode()
    return row


def _to_order(row: Any) -> Order:
    fields = dict(row._mapping)
    fields["items"] = _ITEMS.decode(fields["items"])
    fields["status"] = Status(fields["status"])
    return Order(**fields)
