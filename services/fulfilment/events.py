"""What fulfilment reads of events, and the one that it publishes."""

from typing import NotRequired, TypedDict

ORDER_FULFILLED = "order.fulfilled"


class Item(TypedDict):
    """What fulfilment needs to know of one line of an order."""

    product_name: str
    quantity: int


class OrderCreated(TypedDict):
    """What it needs to know of the event `order.created`."""

    order_id: str
    items: list[Item]
    payment_id: str | None


class OrderCancelled(TypedDict):
    """What it needs to know of the event `order.cancelled`."""

    order_id: str


class ParcelShipped(TypedDict):
    """What it needs to know of the event `parcel.shipped`."""

    order_id: str
    tracking_number: NotRequired[str]


class OrderFulfilled(TypedDict):
    """The payload of `order.fulfilled`."""

    order_id: str
    tracking_number: str
