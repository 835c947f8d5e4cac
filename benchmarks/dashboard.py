"""What the pages of the dashboard cost: python -m benchmarks.dashboard [--letters N] [--messages N]
[--keep FILE].

Fills a broker with 600 queues with a DLQ each, so many dead letters of four causes and so many
messages, most of them in three queues; then asks for each page twice; the second time counts. `cpu`
is what it costs this process, `wall` how long it took beside whatever else runs. Wanted are 300 ms
a page, those that look for words aside.
"""

import argparse
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random

from taskflow.broker import Broker, QueueSettings
from taskflow.config import open_broker
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.site import Site
from taskflow.dashboard.visitor_rights import ALL, Who
from taskflow.message import Message
from taskflow.wire.failure_record import failure_record

GROUPS = {
    "alert-export": 130,
    "billing": 24,
    "catalog": 76,
    "mail": 70,
    "partner": 120,
    "reports": 70,
    "tenants": 110,
}
CAUSES = (
    ("mail-1", 0.8, "smtplib.SMTPRecipientsRefused"),
    ("partner-3", 0.12, "httpx.ConnectTimeout"),
    ("billing-2", 0.05, "KeyError"),
    ("reports-9", 0.03, "ValueError"),
)
TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/shop/{0}.py", line 61, in send\n'
    "    client.send()\n{1}: no\n"
)
BATCH = 1000


LONG = (("mail-2", 0.4), ("partner-7", 0.25), ("tenants-5", 0.15))
"""The queues where most messages wait; the others share the rest."""


def fill(broker: Broker, letters: int, messages: int) -> None:
    names = [f"{group}-{number + 1}" for group, size in GROUPS.items() for number in range(size)]

    def declare() -> None:
        for name in names:
            broker.create_queue(f"{name}-dlq")
            broker.create_queue(
                name, QueueSettings(dead_letter_queue=f"{name}-dlq", max_receives=6)
            )

    broker.together(declare)
    random = Random(7)
    for queue, share, error in CAUSES:
        left = int(letters * share)
        while left > 0:
            bury(broker, queue, min(left, BATCH), error, random)
            left -= BATCH
    rest = messages - sum(int(messages * share) for _, share in LONG)
    some = random.sample(names, 200)
    for name in some:
        send(broker, name, rest // len(some))
    for name, share in LONG:
        send(broker, name, int(messages * share))
        broker.receive(name, limit=500, visibility=3600)
    broker.note_history()


def send(broker: Broker, queue: str, count: int) -> None:
    """The hundredth of them is due in an hour."""
    body = {"customer": "ada@example.org", "lines": [{"sku": f"sku-{i}"} for i in range(4)]}
    for start in range(0, count, BATCH):
        chosen = range(start, min(start + BATCH, count))
        late = [i for i in chosen if i % 100 == 0]
        for delay, some in ((0, [i for i in chosen if i % 100]), (3600, late)):
            made = [
                Message(f"{queue}-{i}", json.dumps({"order_id": f"{i:06}", **body}), delay=delay)
                for i in some
            ]
            if made:
                broker.send(queue, made)


def bury(broker: Broker, queue: str, count: int, error: str, random: Random) -> None:
    body = {"customer": "ada@example.org", "payment": {"card_number": "4242424242424242"}}
    ids = [f"{random.getrandbits(64):016x}" for _ in range(count)]
    broker.send(queue, [Message(id, json.dumps({"order_id": id[:6], **body})) for id in ids])
    found = []
    while len(found) < count:
        found += broker.receive(queue, limit=count - len(found), visibility=600)
    more = {
        "handler": "send",
        "error": error,
        "message": "no",
        "traceback": TRACEBACK.format(queue, error),
    }
    broker.dead_letter(
        [
            (one, json.dumps(failure_record("failed 6 times", one, 6, broker.clock.now(), **more)))
            for one in found
        ]
    )


def measure(broker: Broker) -> None:
    site = Site(broker, roles=lambda _: Who("bench", ALL))
    cause = broker.causes()[0]
    for path in (
        *(
            "/",
            "/queues",
            "/queues?q=",
            "/queues/mail-1",
            "/queues/mail-1?q=state:dead",
            "/queues/mail-2",
            "/queues/mail-2?q=state:waiting",
            "/queues/mail-2?q=state:in_flight",
            "/queues/mail-2?q=state:delayed",
            "/queues/mail-2?q=id:mail-2-77*",
            "/dead",
            f"/dead?open={cause.id}",
        ),
        *(
            f"/messages/{cause.sample}?queue={cause.queue}",
            "/workers",
            "/schedules",
            "/workflows",
            "/record",
        ),
        *(f"/search?q={cause.sample}", "/search?q=nowhere", "/search?q=payload.order_id:000000"),
    ):
        where, _, query = path.partition("?")
        for _ in range(2):
            site._surveyor.forget()  # the look at all queues is part of it
            cpu, wall = time.process_time(), time.perf_counter()
            answer = site.answer(Asked(method="GET", path=where, query=query))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        costs = f"cpu {cpu * 1000:6.0f} ms  wall {wall * 1000:6.0f} ms"
        print(f"{answer.status} {len(answer.body) / 1000:7.0f} KB  {costs}  {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=4_000)
    parser.add_argument("--keep", type=Path, help="A file to fill, or to use again.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.keep or Path(folder) / "broker.db"
        is_new = not file.exists()
        with closing(open_broker(f"sqlite:///{file.absolute()}", create=True)) as broker:
            if is_new:
                fill(broker, given.letters, given.messages)
            measure(broker)


if __name__ == "__main__":
    main()
