"""The stock: how much is free of each product, and what is reserved for which order."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from services.database import READ_ONLY, open_database
from services.fulfilment.events import Item
from services.fulfilment.tables import metadata, products, reservations, reserved
from taskflow.clock import Clock


class State(StrEnum):
    """How a reservation stands. From `held` it becomes `shipped` or `released`, for good."""

    HELD = "held"
    SHIPPED = "shipped"
    RELEASED = "released"
    SOLD_OUT = "sold out"
    """Never stored: there was too little."""


class ReservedOtherwise(Exception):
    """The order has a reservation under another key."""


class _TooLittle(Exception):
    """Of some product less is free than is wanted."""


class Stock:
    """Reserves, and gives back. Thread-safe; every method is one transaction, and idempotent.

    `pieces`: how many there are of a product that nobody has counted yet.
    """

    def __init__(self, engine: Engine, clock: Clock, pieces: int) -> None:
        self._engine = engine
        self._clock = clock
        self._pieces = pieces

    @classmethod
    def open(cls, url: str, clock: Clock, pieces: int) -> "Stock":
        """Connect to a database URL and create what is missing."""
        return cls(open_database(url, metadata), clock, pieces)

    def reserve(self, key: str, order_id: str, items: Sequence[Item]) -> State:
        """Hold what an order needs, all of it or nothing; answers how its reservation stands: a
        repeat with the same `key` reserves nothing more. `released` for an order that was given up
        before, `sold out` when there is too little. Raises ReservedOtherwise for another key."""
        try:
            with self._engine.begin() as connection:
                row = _find(connection, order_id)
                if row is None:
                    self._put(connection, order_id, State.HELD, key)
                    self._take(connection, order_id, items)
                    return State.HELD
        except _TooLittle:
            return State.SOLD_OUT
        if row.key not in (None, key):
            raise ReservedOtherwise(f"order {order_id} was reserved by another key than {key}")
        return State(row.state)

    def ship(self, order_id: str) -> bool:
        """What was held for an order has left; answers whether it has. False for one that was
        given up before."""
        with self._engine.begin() as connection:
            row = _find(connection, order_id)
            if row is not None and row.state == State.HELD:
                self._set(connection, order_id, State.SHIPPED)
                return True
        return row is not None and State(row.state) is State.SHIPPED

    def release(self, order_id: str) -> None:
        """Give back what is held for an order. Nothing is reserved for it later, either: whoever
        gives an order up may be faster than who reserves for it. What has left stays away."""
        with self._engine.begin() as connection:
            row = _find(connection, order_id)
            if row is None:
                self._put(connection, order_id, State.RELEASED, None)
            elif row.state == State.HELD:
                self._set(connection, order_id, State.RELEASED)
                held = select(reserved).where(reserved.c.order_id == order_id)
                for each in connection.execute(held).all():
                    _move(connection, each.product_name, each.pieces)

    def state(self, order_id: str) -> State | None:
        """How the reservation of an order stands; None when there is none."""
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            row = _find(connection, order_id)
        return None if row is None else State(row.state)

    def free(self, product_name: str) -> int:
        """How many pieces of a product are reserved for nobody."""
        query = select(products.c.free).where(products.c.name == product_name)
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            found = connection.execute(query).scalar_one_or_none()
        return self._pieces if found is None else int(found)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _take(self, connection: Connection, order_id: str, items: Sequence[Item]) -> None:
        wanted: Counter[str] = Counter()
        for item in items:
            wanted[item["product_name"]] += item["quantity"]
        for name, pieces in sorted(wanted.items()):  # in one order, so that no two wait crosswise
            query = select(products.c.free).where(products.c.name == name)
            if connection.execute(query).one_or_none() is None:
                connection.execute(insert(products).values(name=name, free=self._pieces))
            if not _move(connection, name, -pieces):
                raise _TooLittle(name)
            row = {"order_id": order_id, "product_name": name, "pieces": pieces}
            connection.execute(insert(reserved).values(row))

    def _put(self, connection: Connection, order_id: str, state: State, key: str | None) -> None:
        row = {"order_id": order_id, "key": key, "state": state, "changed_at": self._clock.now()}
        connection.execute(insert(reservations).values(row))

    def _set(self, connection: Connection, order_id: str, state: State) -> None:
        connection.execute(
            update(reservations)
            .where(reservations.c.order_id == order_id)
            .values(state=state, changed_at=self._clock.now())
        )


def _find(connection: Connection, order_id: str) -> Any:
    query = select(reservations).where(reservations.c.order_id == order_id).with_for_update()
    return connection.execute(query).one_or_none()


def _move(connection: Connection, name: str, pieces: int) -> bool:
    """Add to what is free of a product, or take from it; False when that is less."""
    row = products.c
    change = update(products).where(row.name == name, row.free + pieces >= 0)
    return connection.execute(change.values(free=row.free + pieces)).rowcount == 1
