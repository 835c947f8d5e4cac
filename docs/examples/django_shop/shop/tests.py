"""Tests of the shop, by `python manage.py test`."""

from datetime import timedelta

from django.core import mail
from django.test import TestCase
from django.utils import timezone

from shop.models import Order
from shop.reminders import remind
from taskflow.publisher import using
from taskflow.testing import drain, memory_broker


class ReceiptTest(TestCase):
    """Each test has a broker of its own, in memory."""

    def setUp(self):
        self.broker = self.enterContext(using(memory_broker()))
        self.addCleanup(self.broker.close)
        drain(self.broker)  # as a worker does at its start, it declares the queues

    def place(self, cents):
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(
                "/orders",
                {"email": "ada@example.org", "cents": cents},
                content_type="application/json",
            )

    def test_a_receipt_follows_an_order(self):
        answer = self.place(990)
        self.assertEqual(answer.status_code, 202)
        run = answer.json()["run"]
        self.assertEqual(self.client.get(f"/runs/{run}").json()["state"], "waiting")
        self.assertEqual(mail.outbox, [])

        drain(self.broker)
        self.assertEqual(
            self.client.get(f"/runs/{run}").json(),
            {"run": run, "state": "done", "value": "ada@example.org"},
        )
        self.assertEqual([letter.to for letter in mail.outbox], [["ada@example.org"]])

    def test_no_receipt_follows_what_was_not_saved(self):
        self.assertEqual(self.place(100_001).status_code, 400)
        self.assertEqual(Order.objects.count(), 0)
        self.assertEqual(drain(self.broker), [])
        self.assertEqual(self.client.get("/runs/receipt-1").status_code, 404)

    def test_a_reminder_goes_by_djangos_own_interface(self):
        order = Order.objects.create(email="ada@example.org", cents=990)
        later = timezone.now() + timedelta(days=7)
        result = remind.using(run_after=later).enqueue(order.pk)
        self.assertEqual(result.status, "READY")

        drain(self.broker, advance=True)
        result.refresh()
        self.assertEqual(result.return_value, "ada@example.org")
