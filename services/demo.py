"""The demo: the whole system as separate processes, four orders, and what becomes of them.

`python -m services.demo` (or `make demo`) needs nothing configured. It exits with 0 only when
every expected effect was seen, and stops all that it started.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from taskflow.clock import SystemClock, rfc3339

ROOT = Path(__file__).parent.parent
# Three order.created and an order.refunded mailed; these, order.cancelled and payment.refunded
# audited; one refund made, one noted.
HANDLED = 4 + 6 + 1 + 1
PATIENCE = 40.0  # seconds to wait for any one effect
ITEMS = [
    {"product_name": "Mechanical keyboard", "quantity": 1, "unit_price_cents": 12900},
    {"product_name": "Cable", "quantity": 2, "unit_price_cents": 850},
]
_RUN = re.compile(
    r"event=(\S+) topic=(\S+) queue=(\S+) handler=(\S+) attempt=(\d+) outcome=(\S+) \S+(.*)"
)


class Stage:
    """Prints the flow with times, and remembers every line so that effects can be waited for."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._start = self._clock.now()
        self._changed = threading.Condition()
        self._seen: list[tuple[str, str]] = []

    def say(self, who: str, text: str) -> None:
        """One line of the flow."""
        with self._changed:
            passed = self._clock.now() - self._start
            print(f"{passed:7.3f}s  {who:<14}  {text}", flush=True)
            self._seen.append((who, text))
            self._changed.notify_all()

    def wait_for(self, who: str, pattern: str) -> re.Match[str]:
        """The first line of `who` that matches. Raises SystemExit when none comes."""
        until = self._clock.now() + PATIENCE
        with self._changed:
            while True:
                for speaker, text in self._seen:
                    if speaker == who and (found := re.search(pattern, text)):
                        return found
                left = until - self._clock.now()
                if left <= 0:
                    raise SystemExit(f"the demo failed: {who} never said {pattern!r}")
                self._clock.wait(self._changed, left)

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds that is not said by anybody."""
        until = self._clock.now() + PATIENCE
        with self._changed:
            while not holds():
                if self._clock.now() > until:
                    raise SystemExit(f"the demo failed: never saw {what}")
                self._clock.wait(self._changed, 0.1)


class MailServer:
    """A real SMTP server that is busy for the first two e-mails to flaky@example.com."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._refusals = 2
        self.mails: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as free:  # aiosmtpd cannot choose one
            self._port: int = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("flaky@") and self._refusals:
            self._refusals -= 1
            self._stage.say("mail server", f"451 mailbox of {address} is busy, try again later")
            return "451 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(content)
        self._stage.say("mail server", f"took an e-mail to {', '.join(envelope.rcpt_tos)}")
        return "250 OK"

    def start(self) -> str:
        """Start; answers the address to send to."""
        self._controller.start()
        return f"smtp://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Stop."""
        self._controller.stop()


class Company:
    """The processes of the demo, and what they say."""

    def __init__(self, stage: Stage, environment: dict[str, str]) -> None:
        self._stage = stage
        self._environment = environment
        self._processes: list[tuple[str, subprocess.Popen[str], threading.Thread]] = []

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start a Python process whose lines are shown as `name`'s."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(name, process))
        reader.start()
        self._processes.append((name, process, reader))

    def _read(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if text := readable(line.rstrip()):
                self._stage.say(name, text)
        process.stdout.close()

    def stop(self) -> list[str]:
        """SIGTERM to all, and wait; answers those that did not exit with 0."""
        for _, process, _ in self._processes:
            process.terminate()
        bad = []
        for name, process, reader in reversed(self._processes):
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            reader.join()
            if code:
                bad.append(f"{name} exited with {code}")
        return bad


def readable(line: str) -> str:
    """A log line as a reader of the flow wants it; empty for what only operators want."""
    if found := _RUN.search(line):
        _, topic, _, handler, attempt, outcome, detail = found.groups()
        where = handler.removeprefix("services.")
        return f"{topic} → {where}, attempt {attempt}: {outcome}{detail}"
    text = re.sub(r"^\S+ \S+ (INFO|WARNING|ERROR) \S+ ", r"\1 ", line)
    text = text.removeprefix("INFO ")
    return "" if text.startswith(("Traceback", "  ", "return", "raise")) else text


def call(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    """An HTTP call: status, and the JSON that came back."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def command(environment: dict[str, str], *arguments: str) -> str:
    """What `cli.py` prints. Raises SystemExit when it fails."""
    done = subprocess.run(
        [sys.executable, "cli.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise SystemExit(f"the demo failed: cli.py {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def check(what: str, holds: bool) -> None:
    """An expected effect."""
    if not holds:
        raise SystemExit(f"the demo failed: {what}")
    print(f"   ✓ {what}")


def environment_in(folder: Path, mail: str) -> dict[str, str]:
    """Everything in a fresh folder, on free ports."""
    return os.environ | {
        "TASKFLOW_BROKER": f"sqlite:///{folder}/broker.db",
        "ORDER_PORT": "0",
        "ORDER_DATABASE": f"sqlite:///{folder}/order.db",
        "PAYMENT_PORT": "0",
        "PAYMENT_DATABASE": f"sqlite:///{folder}/payment.db",
        "NOTIFICATION_SMTP_URL": mail,
        "NOTIFICATION_DATABASE": f"sqlite:///{folder}/notification.db",
        "AUDIT_DATABASE": f"sqlite:///{folder}/audit.db",
        "AUDIT_CHECKPOINTS": f"{folder}/audit.checkpoints",
        "PYTHONUNBUFFERED": "1",
    }


def play(folder: Path) -> None:
    """Start everything, place four orders, check every effect, stop everything."""
    stage = Stage()
    mail = MailServer(stage)
    environment = environment_in(folder, mail.start())
    company = Company(stage, environment)
    try:
        stage.say("demo", "declares topics, queues and subscriptions")
        print(command(environment, "topology", "apply"))
        company.start("payment", "-m", "services.payment")
        company.start("notifications", "cli.py", "worker", "notifications")
        company.start("audit", "cli.py", "worker", "audit", "refunds", "orders")
        payment = stage.wait_for("payment", r"listens on (\S+)")[1]
        company.start("order", "-m", "services.order", ORDER_PAYMENT_ADDRESS=payment)
        url = "http://" + stage.wait_for("order", r"listens on (\S+)")[1]
        for worker in ("notifications", "audit"):
            stage.wait_for(worker, "working on")
        place_orders(stage, url)
        show_effects(stage, url, environment, mail)
    finally:
        stage.say("demo", "stops everything")
        bad = company.stop()
        mail.stop()
    check("every process stopped cleanly" + "".join(f" ({one})" for one in bad), not bad)


SEED = (
    b'{"customer_email": "user@example.com", "items": [{"product_name": "Laptop Pro", '
    b'"quantity": 1, "unit_price_cents": 249900}]}'
)
"""The README's first order, byte for byte: no card, charged to the method on file."""


def place_orders(stage: Stage, url: str) -> None:
    """The README's, one that is refunded, one that is declined, one whose e-mail fails twice."""

    next_year = int(rfc3339(SystemClock().now())[:4]) + 1
    card = {"exp_month": 12, "exp_year": next_year, "cvc": "123"}

    def place(email: str, number: str) -> tuple[int, Any]:
        stage.say("demo", f"POST /orders for {email}")
        body = {
            "customer_email": email,
            "items": ITEMS,
            "payment": card | {"card_number": number},
        }
        status, answer = call("POST", f"{url}/orders", body)
        short = {
            name: answer[name] for name in ("id", "status", "title", "detail") if name in answer
        }
        stage.say("order", f"{status} {short}")
        return status, answer

    stage.say("demo", "POST /orders, as in the README")
    status, order = call("POST", f"{url}/orders", SEED)
    stage.say("order", f"{status} {order['id']} {order['status']}")
    check("the README's order was paid, from the method on file", order["status"] == "paid")
    status, order = place("ada@example.com", "4242424242424242")
    check("the order was accepted and paid", status == 201 and order["status"] == "paid")
    cancelled = order["id"]
    status, problem = place("grace@example.com", "4000000000009995")
    check("the declined card got a 402", status == 402 and "insufficient" in str(problem))
    status, order = place("flaky@example.com", "5555555555554444")
    check("the third order was accepted", status == 201)
    stage.wait_for("mail server", "took an e-mail to user@")
    stage.wait_for("mail server", "took an e-mail to ada@")
    stage.say("demo", f"POST /orders/{cancelled}/cancel")
    call("POST", f"{url}/orders/{cancelled}/cancel")
    stage.wait_for("audit", r"order.refunded → audit.handlers.record, attempt 1: done")
    status, order = call("GET", f"{url}/orders/{cancelled}")
    check("the cancelled order was refunded", order["status"] == "refunded")
    stage.wait_for("notifications", r"attempt 1: retry")
    stage.wait_for("notifications", r"attempt 2: retry")
    stage.wait_for("notifications", r"attempt 3: done")


def show_effects(stage: Stage, url: str, environment: dict[str, str], mail: MailServer) -> None:
    """What the operator and the customer see afterwards."""

    def stats() -> Any:
        return call("GET", f"{url}/stats")[1]

    stage.wait_until(
        f"{HANDLED} handled events", lambda: bool(stats()["events"]["handled"] == HANDLED)
    )
    found = stats()
    print("\nGET /stats\n" + json.dumps(found, indent=2))
    print("\ncli.py queues\n" + command(environment, "queues"))
    print("the e-mail\n" + mail.mails[0].decode().partition("Content-Type: text/html")[0])
    audit = command(environment, "audit", "verify")
    print(f"cli.py audit verify\n{audit}")
    check("two orders are paid", found["orders"]["paid"] == 2)
    check("one was refunded", found["orders"]["refunded"] == 1)
    check("one was declined", found["orders"]["declined"] == 1)
    check("every event reached every queue", found["events"]["handled"] == HANDLED)
    check("nothing is left in a queue, nothing in a dead-letter queue", not _left(found))
    check("each customer got an e-mail, and one about a refund", len(mail.mails) == 4)
    check("the audit log is intact and holds all", audit.startswith("intact: 6 entries"))


def _left(found: Any) -> bool:
    return any(
        queue[state] for queue in found["queues"].values() for state in ("visible", "in_flight")
    )


def main() -> None:
    """Play the demo in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="taskflow-demo-") as folder:
        play(Path(folder))
    print("\nThe demo saw every expected effect.")


if __name__ == "__main__":
    main()
