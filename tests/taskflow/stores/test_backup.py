"""`Broker.back_up`: a copy made under load has each event once; it can be worked on."""

import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import apsw
import pytest

from taskflow import Broker, open_broker
from taskflow.broker.settings import Finish
from taskflow.errors import BrokerFileError, ConfigError
from taskflow.message import Message
from taskflow.testing.manual_clock import REAL_LIMIT

QUEUES = ("left", "right")
BODY = "x" * 2000  # a page or two: the copy takes many steps


class Load:
    """Who publishes one by one, and who finishes what comes, until the end."""

    def __init__(self, path: Path, shards: int) -> None:
        address = f"sqlite:///{path}?durability=process"
        more = f"&shards={shards}" if shards > 1 else ""
        self._brokers = [open_broker(f"{address}{more}") for _ in range(3)]
        self.sent = 0
        self._end, self._news = threading.Event(), threading.Condition()
        broker = self._brokers[0]
        broker.create_topic("t")
        for queue in QUEUES:
            broker.create_queue(queue)
            broker.subscribe("t", queue)
        workers = [
            threading.Thread(target=self._work, args=(one, queue))
            for one, queue in zip(self._brokers[1:], QUEUES, strict=True)
        ]
        self._threads = [threading.Thread(target=self._publish, args=(broker,)), *workers]
        for thread in self._threads:
            thread.start()
        self.wait_for_more(100)

    def _publish(self, broker: Broker) -> None:
        while not self._end.is_set():
            broker.publish("t", [Message(f"{self.sent:06}", BODY)])
            with self._news:
                self.sent += 1
                self._news.notify_all()

    def _work(self, broker: Broker, queue: str) -> None:
        while not self._end.is_set():
            for one in broker.receive(queue, limit=3, wait=1, stop=self._end.is_set):
                broker.delete([Finish(one, remember=3600)])

    def wait_for_more(self, count: int) -> None:
        """Return when so many more were published."""
        with self._news:
            wanted = self.sent + count
            assert self._news.wait_for(lambda: self.sent >= wanted, REAL_LIMIT)

    def end(self) -> None:
        self._end.set()
        for broker in self._brokers:
            broker.wake()
        for thread in self._threads:
            thread.join()
        for broker in self._brokers:
            broker.close()


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 3])
def test_a_backup_under_load_has_each_event_once_and_can_be_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    load = Load(tmp_path / "broker.db", shards)
    steps: list[int] = []

    class Slow(apsw.Connection):
        """Between two steps of the copy others publish and finish."""

        def backup(self, *arguments: Any) -> Any:
            real = super().backup(*arguments)
            slow = MagicMock(wraps=real, done=False)
            slow.__enter__.return_value = slow

            def step(pages: int) -> None:
                steps.append(pages)
                load.wait_for_more(3)
                real.step(10)
                slow.done = real.done
                if real.done:
                    real.finish()

            slow.step = step
            return slow

    monkeypatch.setattr(apsw, "Connection", Slow)
    backup: Any = open_broker(f"sqlite:///{tmp_path}/broker.db", create=False)
    try:
        before = load.sent
        backup.back_up(tmp_path / "copy.db")
        after = load.sent
    finally:
        load.end()
        backup.close()
    assert len(steps) > 5
    assert after >= before + 3 * len(steps), "others published and finished meanwhile"
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    copy = open_broker(f"sqlite:///{tmp_path}/copy.db", create=False)
    try:
        ids = [f"{number:06}" for number in range(after)]
        whole = set[str]()
        for queue in QUEUES:
            waiting = {one.id for one in copy.peek(queue, after)}
            finished = {id for id, _ in copy.finished(queue, [(id, "t") for id in ids])}
            assert not waiting & finished
            there = waiting | finished
            assert there == set(ids[: len(there)]), "all up to one moment"
            assert len(there) >= before
            whole = whole or there
            assert there == whole, "a publish is in all queues or in none"
            assert finished, "it worked meanwhile"
        copy.publish("t", [Message("later", "x")])
        assert "later" in {one.id for one in copy.peek("left", after)}
    finally:
        copy.close()


def test_a_backup_replaces_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    broker: Any = open_broker(f"sqlite:///{tmp_path}/broker.db")
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BrokerFileError, match="there exists"):
        broker.back_up(tmp_path / "there")
    with pytest.raises(BrokerFileError, match=r"cannot be copied to .*No such file"):
        broker.back_up(tmp_path / "none" / "copy.db")
    assert (tmp_path / "there").read_text() == "mine"
    broker.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broker.db", "there"]
    memory: Any = open_broker("memory://")
    with pytest.raises(ConfigError, match="in memory"):
        memory.back_up(tmp_path / "copy.db")
    memory.close()
