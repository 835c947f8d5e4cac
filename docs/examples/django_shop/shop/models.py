"""What is kept of an order."""

from django.db import models


class Order(models.Model):
    """Somebody paid something."""

    email = models.EmailField()
    cents = models.PositiveIntegerField()
