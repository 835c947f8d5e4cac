"""The worker side of fulfilment: an order that was taken is fulfilled, a cancelled one no more."""

from services.fulfilment.events import OrderCancelled, OrderCreated
from services.fulfilment.workflow import QUEUE, fulfil, get_stock, run_of
from taskflow import WorkflowResult, subscribe


@subscribe("order.created", queue=QUEUE, retries=5, backoff=1.0)
def begin(order: OrderCreated) -> None:
    """Begin to fulfil an order. Idempotent: the order has one run, by its id."""
    order_id = order["order_id"]
    fulfil.options(id=run_of(order_id)).delay(order_id, order["items"], order["payment_id"])


@subscribe("order.cancelled", queue=QUEUE, retries=5, backoff=1.0)
def stop(order: OrderCancelled) -> None:
    """Fulfil an order no more. Idempotent.

    The event may come before `order.created` does, which then finds that nothing can be reserved
    any more. The refund is the payment service's, which hears the same event; a run that had begun
    asks for it too, and that is the same refund.
    """
    get_stock().release(order["order_id"])
    WorkflowResult(run_of(order["order_id"])).cancel()
