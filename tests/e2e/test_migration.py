"""The migration path of docs/aws.md, step by step and back, with real processes."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from services.database import open_database
from services.order.tables import metadata
from taskflow import open_broker, outbox, publish
from taskflow.outbox import Outbox, Relay, SqlAlchemy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
LONG = 30.0  # real seconds until the test gives up on a process
HANDLERS = "tests.e2e.moving_shop"  # never imported here: it would subscribe for all tests
QUEUES = ("audit", "refunds")
TASKFLOW = (sys.executable, "-m", "taskflow.cli")
TABLES = """
CREATE TABLE runs (event TEXT, worker TEXT);
CREATE TABLE effects (event TEXT PRIMARY KEY);
"""


class Working:
    """A `taskflow worker` process, and what it logs."""

    def __init__(self, broker: str, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [*TASKFLOW, "worker", *QUEUES, "--broker", broker],
            cwd=ROOT,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()

    def wait_for(self, *patterns: str) -> None:
        """Until each pattern is in a line."""

        def said() -> bool:
            return all(any(re.search(one, line) for line in self._lines) for one in patterns)

        with self._changed:
            assert self._changed.wait_for(said, LONG), "".join(self._lines)

    def wait_until_done(self, events: list[str]) -> None:
        self.wait_for(*(f"event={event} .*outcome=done" for event in events))

    def stop(self) -> int:
        """SIGTERM, if it still runs; answers the exit code."""
        self._process.terminate()
        try:
            return self._process.wait(LONG)
        finally:
            self._process.kill()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()


class Shop:
    """A shop in a folder: commands, workers, an outbox with its relay, and what handlers did."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "shop.db"
        with closing(sqlite3.connect(self._database)) as database:
            database.executescript(TABLES)
        self._engine = open_database(f"sqlite:///{folder}/order.db", metadata)
        self._environ = {"TASKFLOW_MODULES": HANDLERS, "SHOP_FOLDER": str(folder)}
        self._workers: list[Working] = []
        self._placed = 0
        self.outbox = Outbox(SqlAlchemy(self._engine))

    def taskflow(self, *words: str, broker: str = "", code: int = 0) -> str:
        """What the command prints."""
        done = subprocess.run(
            [*TASKFLOW, *words, *(("--broker", broker) if broker else ())],
            cwd=ROOT,
            env=os.environ | self._environ,
            capture_output=True,
            text=True,
            timeout=LONG,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def work(self, broker: str) -> Working:
        """Start a worker; it is waiting for messages when this returns."""
        side = {"SHOP_SIDE": broker.partition(":")[0]}
        worker = Working(broker, os.environ | self._environ | side)
        self._workers.append(worker)
        worker.wait_for("working on audit, refunds")
        return worker

    def save(self, count: int, topic: str = "order.created") -> list[str]:
        """Put events into the outbox; answers their ids."""
        numbers = range(self._placed, self._placed + count)
        self._placed += count
        with self._engine.begin() as session:
            return [outbox.publish(session, topic, {"n": n}, id=f"evt_{n}") for n in numbers]

    def relay(self, broker: str, then: Callable[[], None] = lambda: None) -> None:
        """A publisher with that address publishes what is in the outbox; `then` happens before
        the rows are marked."""
        with closing(open_broker(broker)) as opened:
            relay = Relay(SqlAlchemy(self._engine), opened)
            mark = relay.outbox.mark_published

            def crash_or_mark(*arguments: Any) -> None:
                then()
                mark(*arguments)

            relay.outbox.mark_published = crash_or_mark  # type: ignore[method-assign, assignment]
            relay.publish_pending()

    def left(self, broker: str) -> dict[str, list[int]]:
        """What `taskflow queues` shows of each queue: visible, in flight, delayed."""
        found = json.loads(self.taskflow("queues", "--json", broker=broker))
        states = ("visible", "in_flight", "delayed")
        return {one["name"]: [one[state] for state in states] for one in found}

    def wait_until_empty(self, broker: str) -> None:
        """Ask until nothing is left but dead letters: an acknowledgement may be on its way."""
        for _ in range(20):
            left = self.left(broker)
            if all(left[queue] == [0, 0, 0] for queue in QUEUES):
                return
        raise AssertionError(left)

    def select(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self._database)) as database:
            return database.execute(query).fetchall()

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._engine.dispose()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def crash() -> None:
    raise KeyboardInterrupt


def test_the_road_to_aws_and_back(shop: Shop, tmp_path: Path, taskflow_server: str) -> None:
    old = f"sqlite:///{tmp_path}/broker.db"
    new = f"aws://us-east-1?endpoint={taskflow_server}&prefix=shop-"
    expected = Counter[tuple[str, str]]()

    def expect(worker: str, events: list[str]) -> None:
        expected.update((event, worker) for event in events)

    # Where it starts: a file, a worker, a publisher.
    shop.taskflow("topology", "apply", broker=old)
    old_worker = shop.work(old)
    before = shop.save(10)
    shop.relay(old)
    old_worker.wait_until_done(before)
    expect("sqlite", before)

    # 4. Write down the topology.
    tree = shop.taskflow("topology")
    assert f"refunds  →  {HANDLERS}.refund" in tree
    assert "refunds-dlq  after 1 retries" in tree

    # 5. The outbox holds events back while no queue takes them: switching too early loses nothing.
    early = shop.save(1)
    shop.relay(new)
    assert len(shop.outbox.pending()) == 1
    shop.relay(old)
    old_worker.wait_until_done(early)
    expect("sqlite", early)

    # 6. Create the resources: as a document, or at once.
    terraform = tmp_path / "events.tf"
    form = ("--format", "terraform", "--prefix", "shop-", "--output", str(terraform))
    shop.taskflow("topology", "export", *form)
    for name in ("shop-order-created", "shop-audit", "shop-refunds-dlq"):
        assert f'"{name}"' in terraform.read_text()
    missing = shop.taskflow("topology", "diff", "--check", broker=new, code=1)
    assert "+ queue audit" in missing
    shop.taskflow("topology", "apply", broker=new)
    assert shop.taskflow("topology", "diff", "--check", broker=new) == ""

    # 7. Workers on AWS, beside the old one. Nothing is published there yet.
    new_worker = shop.work(new)
    assert set(map(tuple, shop.left(new).values())) == {(0, 0, 0)}

    # 8. and 9. Switch the publishers. The old one leaves behind: a delayed message, a failing one,
    # one that it published and could not mark any more, and rows it had no time for.
    with closing(open_broker(old)) as opened:
        late = [publish("order.created", {}, delay=2.0, broker=opened)]
    failing = shop.save(1, "order.cancelled")
    shop.relay(old)
    twice = shop.save(1)
    with pytest.raises(KeyboardInterrupt):
        shop.relay(old, then=crash)
    waiting = shop.save(10)
    shop.relay(new)
    assert shop.outbox.pending() == []
    new_worker.wait_until_done([*twice, *waiting])
    expect("aws", [*twice, *waiting])

    # 10. Let the old worker finish, and look after the dead letters.
    old_worker.wait_until_done([*twice, *late])
    old_worker.wait_for(f"event={failing[0]} .*outcome=dead")
    letters = json.loads(shop.taskflow("dlq", "list", "refunds", "--json", broker=old))
    assert [letter["id"] for letter in letters] == failing
    (tmp_path / "mended").touch()
    shop.taskflow("dlq", "redrive", "refunds", broker=old)
    old_worker.wait_until_done(failing)
    expect("sqlite", [*twice, *late, *failing])
    shop.wait_until_empty(old)

    # 11. Stop the old worker.
    assert old_worker.stop() == 0

    # The way back: a worker on the old file, the publisher, the rest on AWS.
    on_aws = shop.save(5)
    shop.relay(new)
    old_worker = shop.work(old)
    back = shop.save(5)
    shop.relay(old)
    old_worker.wait_until_done(back)
    new_worker.wait_until_done(on_aws)
    expect("aws", on_aws)
    expect("sqlite", back)
    shop.wait_until_empty(new)
    assert new_worker.stop() == 0
    assert old_worker.stop() == 0

    # Nothing lost, and nothing handled twice but what was published twice; its effect is one.
    assert Counter(shop.select("SELECT event, worker FROM runs")) == expected
    assert Counter(shop.select("SELECT event FROM effects")) == Counter(
        {(event,): 1 for event, _ in expected}
    )
