"""What is done after a request."""

from django.core.mail import send_mail

from shop.models import Order
from taskflow import task


@task(queue="mails", result="1d", retries=5)
def send_receipt(order_id: int) -> str:
    """Send the mail, and answer where to."""
    order = Order.objects.get(pk=order_id)
    send_mail("Your receipt", f"You paid {order.cents} cents.", None, [order.email])
    return order.email
