"""Requests: one that sends a task, and one that asks what became of it."""

import json

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET, require_POST

from shop.models import Order
from shop.tasks import send_receipt
from taskflow import Result


@require_POST
def place_order(request: HttpRequest) -> JsonResponse:
    """Save an order; its receipt follows if, and only if, it is saved."""
    wanted = json.loads(request.body)
    with transaction.atomic():
        order = Order.objects.create(email=wanted["email"], cents=wanted["cents"])
        run = f"receipt-{order.pk}"
        transaction.on_commit(lambda: send_receipt.options(id=run).delay(order.pk))
        if order.cents > 100_000:
            transaction.set_rollback(True)
            return JsonResponse({"error": "at most 1000.00"}, status=400)
    return JsonResponse({"order": order.pk, "run": run}, status=202)


@require_GET
def show_run(request: HttpRequest, id: str) -> JsonResponse:
    """Where a run stands, and what it returned."""
    result = Result(id)
    state = result.state
    if state == "unknown":
        return JsonResponse({"error": f"there is no run {id}"}, status=404)
    value = result.get(0) if state == "done" else None
    return JsonResponse({"run": id, "state": state, "value": value})
