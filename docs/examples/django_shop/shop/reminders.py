"""A task of Django's own interface."""

from shop.models import Order

try:
    from django.tasks import task
except ImportError:  # before Django 6.0
    from django_tasks import task


@task(queue_name="mails", retries=5)
def remind(order_id: int) -> str:
    """Answer whom we would remind."""
    return Order.objects.get(pk=order_id).email
