"""The pictures of the dashboard in docs/images: an invented hour of a shop, drawn by Chromium.

`python -m benchmarks.pictures [FOLDER]` draws them; the same each time. `--serve PORT` serves the
shop instead, to look at.
"""

import json
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from taskflow import Registry, Run, Worker, workflow
from taskflow.broker import Broker, Finish, QueueSettings, WorkerReport
from taskflow.broker.action import Action
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.site import Site
from taskflow.dashboard.visitor_rights import ALL, Who
from taskflow.dashboard.wsgi_face import WsgiFace
from taskflow.message import Message
from taskflow.publisher import using
from taskflow.scheduling.schedules import schedules
from taskflow.testing import ManualClock, memory_broker
from taskflow.wire.failure_record import failure_record

START = 1795696200.0 + 67.0  # 2026-11-26T12:31:07Z
MINUTES = 60
DEPLOYED_AT = 33
GROUPS = {
    "alert-export": 64,
    "billing": 18,
    "catalog": 30,
    "crm": 24,
    "mail": 32,
    "search": 20,
    "tenants": 56,
    "webhooks": 8,
}
BUSY = {"audit": 96, "webhooks-deliver": 130, "mail-digest": 48, "search-index": 60, "orders": 72}
"""Messages a minute."""
CAUSES = (
    ("notifications", "SMTPRecipientsRefused", "550 5.1.1 no such user", "sender.py", 61, "send"),
    ("webhooks-deliver", "ConnectTimeout", "hooks.acme.example:443", "deliver.py", 44, "post"),
    ("billing-invoices", "KeyError", "'tenant_id'", "invoices.py", 112, "rows"),
    ("audit", "OperationalError", "database is locked", "trail.py", 18, "record"),
)
TIMES = {
    "send_confirmation": (-6, 4, 5.02),
    "post": (-7, 3, 2.9),
    "render_pdf": (6, 13, 118.0),
    "record": (-19, -14, 0.009),
    "index": (-3, 1, 1.8),
}
PICTURES: Sequence[tuple[str, str, str, int, int]] = (
    ("dashboard-light", "/", "light", 1400, 1130),
    ("dashboard-dark", "/", "dark", 1400, 1130),
    ("dead-letters", "/dead", "light", 1400, 800),
    ("phone", "/", "light", 390, 844),
)
"""Name, page, scheme, width and greatest height."""


class Shop:
    """The hour, minute by minute. Everything is drawn from one seeded generator."""

    def __init__(self) -> None:
        self.clock = ManualClock(START - MINUTES * 60.0)
        self.broker: Broker = memory_broker(clock=self.clock)
        self.site = Site(
            self.broker,
            roles=lambda _: Who("operator", ALL),
            name="production",
            address="sqlite:///var/broker.db",
        )
        self._number = 0
        self._waits: dict[int, int] = {}
        self._declare()

    def live(self) -> None:
        """Let the hour pass."""
        self._begin_runs()
        for minute in range(MINUTES + 1):
            self._traffic(minute)
            self._letters(minute)
            self._report(minute)
            self.broker.note_history()
            if minute >= MINUTES - 5:
                self.site.answer(Asked(method="GET", path="/"))  # rates come from several looks
            if minute < MINUTES:
                self.clock.advance(60.0)

    def _declare(self) -> None:
        broker = self.broker
        names = [f"{group}-{n:03}" for group, most in GROUPS.items() for n in range(most)]
        names += [*BUSY, "notifications", "refunds", "billing-invoices", "billing-statements"]
        for name in names:
            letters = name in BUSY or name in {cause[0] for cause in CAUSES}
            if letters:
                broker.create_queue(f"{name}-dlq")
            dlq = f"{name}-dlq" if letters else None
            broker.create_queue(
                name, QueueSettings(dead_letter_queue=dlq, max_receives=6 if dlq else None)
            )
        broker.create_topic("order.created")
        broker.subscribe("order.created", "notifications")
        schedules.put(
            "nightly.reconcile", cron="0 3 * * *", publish=("order.created", {}), broker=broker
        )
        schedules.put("stock.sync", every="50m", publish=("order.created", {}), broker=broker)

    def _send(self, queue: str, count: int) -> None:
        made = []
        for _ in range(count):
            self._number += 1
            body = {
                "order_id": f"ord_{self._number:06x}",
                "email": f"user{self._number % 977}@example.com",
                "total": 1990 + self._number % 7000,
                "card_token": "tok_4242",
            }
            made.append(Message(f"{queue}-{self._number:06x}", json.dumps(body)))
        for at in range(0, len(made), 100):
            self.broker.send(queue, made[at : at + 100])

    def _handle(self, queue: str, count: int) -> None:
        while count > 0:
            found = self.broker.receive(queue, limit=min(count, 100))
            if not found:
                return
            self.broker.delete([Finish(one) for one in found])
            count -= len(found)

    def _traffic(self, minute: int) -> None:
        draw = self.broker.random
        if minute == 10:
            self.broker.pause("billing-invoices")
        for name, rate in BUSY.items():
            count = int(rate * draw.uniform(0.8, 1.2))
            self._send(name, count)
            self._handle(name, count - (draw.randrange(12) if minute == MINUTES else 0))
        self._send("notifications", 90 + draw.randrange(20))
        self._handle("notifications", 120 if minute < 34 else 40 + draw.randrange(20))
        self._send("billing-invoices", 14)
        if minute > 46:
            self._send("refunds", 3)
        for group, most in GROUPS.items():
            for n in range(0, most, 3):
                name = f"{group}-{n:03}"
                count = draw.randrange(6)
                self._send(name, count)
                self._handle(name, 8 if minute < MINUTES else draw.randrange(3))

    def _letters(self, minute: int) -> None:
        draw = self.broker.random
        counts = (
            20 + minute if minute > 33 else 0,
            5 if 4 < minute < 40 else 1,
            2 if minute % 3 == 0 else 0,
            1 if minute in (12, 31) else 0,
        )
        for (queue, error, said, file, line, function), count in zip(CAUSES, counts, strict=True):
            if not count:
                continue
            paused = self.broker.counts(queue).paused
            self.broker.pause(queue, False)
            self._send(queue, count)
            entries = []
            for one in self.broker.receive(queue, limit=count):
                traceback = (
                    "Traceback (most recent call last):\n"
                    f'  File "/srv/shop/{file}", line {line}, in {function}\n'
                    f"    {function}(payload)\n{error}: {said}\n"
                )
                record = failure_record(
                    "failed 6 times",
                    one,
                    6,
                    self.clock.now(),
                    handler=f"{file[:-3]}.{function}",
                    error=error,
                    message=said,
                    traceback=traceback,
                )
                entries.append((one, json.dumps(record)))
            self.broker.dead_letter(entries)
            if paused:
                self.broker.pause(queue)
            draw.random()

    def _begin_runs(self) -> None:
        registry = Registry()

        def pack(order: str) -> str:
            if order.endswith("7"):
                raise LookupError("SKU 40017 is out of stock")
            return f"parcel of {order}"

        @workflow(name="fulfil", queue="fulfil", retries=0, registry=registry)
        def fulfil(ctx: Run, order: str) -> None:
            ctx.step(pack, order)
            ctx.wait("picked.up", timeout="3d")

        worker = Worker(self.broker, registry=registry)
        with using(self.broker):
            for number in range(28):
                fulfil.options(id=f"order-{number}").delay(f"ord_{number}")
                worker.drain()

    def _report(self, minute: int) -> None:
        """What workers say; those of `notifications` wait for an SMTP server since a deploy."""
        now = self.clock.now()
        late = minute > DEPLOYED_AT
        slow = min(16, 2 * (minute - DEPLOYED_AT) // 3) if late else -2
        for number, count in ((-4, 300), (slow, 60 if late else 9)):
            self._waits[number] = self._waits.get(number, 0) + count
        for host, pid, queues in (
            ("mail-1", 3988, ("notifications", "mail-digest")),
            ("mail-2", 4077, ("notifications", "mail-digest")),
            ("hook-1", 640, ("webhooks-deliver", "audit")),
            ("srch-1", 2240, ("search-index", "orders")),
            ("bill-2", 771, ("billing-invoices", "billing-statements")),
        ):
            names = list(TIMES)[:2] if host < "m" else list(TIMES)[2:]
            self.broker.report(
                WorkerReport(
                    id=f"{host}-{pid}",
                    host=host,
                    pid=pid,
                    queues=queues,
                    started_at=now - 9_000,
                    busy=3,
                    slots=8,
                    handlers={
                        name: {"runs": 4_000, "failed": 31, "seconds": 900, "most": TIMES[name][2]}
                        for name in names
                    },
                    failures=[],
                    running=[
                        {
                            "queue": queues[0],
                            "handler": names[0],
                            "id": f"{queues[0]}-00a{pid}",
                            "since": now - pid % 131,
                        }
                    ],
                    times={
                        queues[0]: {
                            name: {TIMES[name][0]: 3_950, TIMES[name][1]: 50} for name in names
                        }
                    },
                    waits={queues[0]: dict(self._waits)},
                    release="4f2a91c" if minute >= DEPLOYED_AT else "8c1d0e2",
                )
            )
        if minute != MINUTES:
            return
        self.broker.note_action(
            Action(who="mara", did="pause", queue="billing-invoices", target="printer contract")
        )


class _Server(ThreadingMixIn, WSGIServer):
    """One thread a request."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def draw(address: str, folder: Path) -> None:
    """Take the pictures of the pages that are served there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, path, scheme, width, height in PICTURES:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.goto(address + path)
            if path == "/dead":
                page.click(".group-row h3 a")
                page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=folder / f"{name}.png")
            page.close()
        browser.close()


def main(arguments: Sequence[str]) -> None:
    """Draw, or serve."""
    shop = Shop()
    with closing(shop.broker):
        shop.live()
        port = int(arguments[1]) if arguments[:1] == ["--serve"] else 0
        face = WsgiFace(shop.site, "", None)
        server = make_server("127.0.0.1", port, face, _Server, _Quiet)
        if arguments[:1] == ["--serve"]:
            server.serve_forever()
            return
        threading.Thread(target=server.serve_forever, daemon=True).start()
        folder = Path(arguments[0] if arguments else "docs/images")
        folder.mkdir(parents=True, exist_ok=True)
        draw(f"http://127.0.0.1:{server.server_port}", folder)
        server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
