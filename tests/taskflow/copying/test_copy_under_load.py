"""Messages are moved while others publish and work at both brokers, in threads and for real."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from taskflow import Broker, open_broker
from taskflow.broker.settings import Finish
from taskflow.brokers.copying.copy import Copy
from taskflow.message import Message
from taskflow.testing.manual_clock import REAL_LIMIT
from tests.postgres_server import PostgresServer

COUNT = 400
pytestmark = pytest.mark.slow


class Load:
    """Somebody who publishes at one broker until all is sent, and workers at both."""

    def __init__(self, source: Broker, target: Broker) -> None:
        self.handled: Counter[str] = Counter()
        self.ordered: dict[str, list[int]] = {group: [] for group in "abcd"}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sent = threading.Event()
        self._all = threading.Event()
        work = [threading.Thread(target=self._work, args=(one,)) for one in (source, target)]
        self._threads = [threading.Thread(target=self._publish, args=(source,)), *work]
        for one in self._threads:
            one.start()

    def _publish(self, broker: Broker) -> None:
        for n in range(0, COUNT, 4):
            broker.send("plain", [Message(f"p{n + k}", "x") for k in range(4)])
            broker.send(
                "lanes.fifo",
                [
                    Message(f"{group}{n}", "x", group=group, deduplication_id=f"{group}{n}")
                    for group in "abcd"
                ],
            )
        self._sent.set()

    def _work(self, broker: Broker) -> None:
        while not self._ended.is_set():
            for one in broker.receive(
                "plain", "lanes.fifo", limit=10, wait=5, stop=self._ended.is_set
            ):
                with self._lock:
                    self.handled[one.id] += 1
                    if one.group is not None:
                        self.ordered[one.group].append(int(one.id[1:]))
                broker.delete([Finish(one)])
                if len(self.handled) == 2 * COUNT:
                    self._all.set()

    def copy(self, source: Broker, target: Broker) -> int:
        """Copy again and again, until all that was sent is there or handled."""
        copy = Copy(source, target)
        moved = 0
        while True:
            sent = self._sent.is_set()
            found = copy.run(wait=1)
            moved += sum(one.moved for one in found)
            if sent and not any(one.moved + one.in_flight for one in found):
                return moved

    def end(self, *brokers: Broker) -> None:
        """Let workers handle what is left, and go."""
        self._threads[0].join()
        assert self._all.wait(REAL_LIMIT), f"{2 * COUNT - len(self.handled)} were not handled"
        self._ended.set()
        for broker in brokers:
            broker.wake()
        for one in self._threads:
            one.join()


@pytest.mark.parametrize(
    "way", ["file>server", "server>file", "file>files", "files>file", "files>server"]
)
def test_all_is_handled_once_and_in_order_while_it_moves(
    tmp_path: Path, postgres: PostgresServer, way: str
) -> None:
    addresses = {
        "file": f"sqlite:///{tmp_path}/broker.db",
        "files": f"sqlite:///{tmp_path}/several.db?shards=3",
        "server": postgres.address(),
    }
    source, target = (open_broker(addresses[name]) for name in way.split(">"))
    try:
        for name in ("plain", "lanes.fifo"):
            source.create_queue(name)
        Copy(source, target).run()
        load = Load(source, target)
        moved = load.copy(source, target)
        load.end(source, target)
        assert moved > 0
        assert not any(one.peek(name) for one in (source, target) for name in one.queues())
        assert set(load.handled.values()) == {1}
        assert load.ordered == {group: list(range(0, COUNT, 4)) for group in "abcd"}
    finally:
        source.close()
        target.close()
        postgres.empty()
