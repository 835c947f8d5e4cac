"""One worker process of a chaos run; it writes down its acknowledgements and its troubles."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from taskflow import Pool, Registry, Worker, open_broker
from taskflow.broker import Broker, Finish
from taskflow.errors import BrokerError
from tests.chaos.disk import obey_page_limit
from tests.chaos.handlers import subscribe_all
from tests.chaos.history import History, clock

CONCURRENCY = 4
SLOW = 0.4  # a broker call, or a wait for the processor, of so many seconds is worth a line
NO_BROKER = 3  # the exit code when the broker could not be opened


class Witness:
    """A broker that notes what became of each message, and every call that took long."""

    def __init__(self, broker: Broker, history: History) -> None:
        self._broker = broker
        self._history = history

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        return self._timed(name, found) if callable(found) else found

    def _timed(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            began = clock.now()
            try:
                answer = verb(*args, **more)
            except BrokerError as error:
                self._history.note("refused", verb=name, since=began, error=str(error))
                raise
            waited = more.get("wait", 0.0)
            if not waited and clock.now() - began > SLOW:
                self._history.note("slow", verb=name, since=began)
            return answer

        return call

    def delete(self, entries: Sequence[Finish]) -> list[bool]:
        answers: list[bool] = self._timed("delete", self._broker.delete)(entries)
        for entry, ok in zip(entries, answers, strict=True):
            self._settled("acked" if ok else "stale", entry.delivery)
        return answers

    def dead_letter(self, entries: Sequence[Any]) -> list[bool]:
        answers: list[bool] = self._timed("dead_letter", self._broker.dead_letter)(entries)
        for entry, ok in zip(entries, answers, strict=True):
            self._settled("buried" if ok else "stale", entry[0])
        return answers

    def give_back(self, deliveries: Sequence[Any]) -> list[bool]:
        for delivery in deliveries:  # before the call: its next start may come at once
            self._settled("given-back", delivery)
        return cast("list[bool]", self._timed("give_back", self._broker.give_back)(deliveries))

    def _settled(self, fact: str, delivery: Any) -> None:
        self._history.note(
            fact, id=delivery.id, queue=delivery.queue, attempt=delivery.receive_count
        )


def watch_for_stalls(history: History) -> None:
    """Note each time in which this process was not given the processor."""
    never = threading.Event()
    while True:
        before = clock.now()
        never.wait(0.05)
        if clock.now() - before > SLOW:
            history.note("stall", since=before)


def main(folder: Path, who: str, address: str) -> int:
    history = History(folder, who)
    try:
        broker = open_broker(address)
        worker = Worker(
            cast(Broker, Witness(broker, history)), registry=subscribe_all(Registry(), history)
        )
    except BrokerError as error:
        history.note("no-broker", error=str(error))
        return NO_BROKER
    pool = Pool(worker, concurrency=CONCURRENCY, grace=5)
    for watch in (watch_for_stalls, lambda history: obey_page_limit(folder.parent, broker)):
        threading.Thread(target=watch, args=(history,), daemon=True).start()
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())

    def stop_when_asked() -> None:
        asked.wait()
        pool.stop()

    threading.Thread(target=stop_when_asked, daemon=True).start()
    history.note("ready")
    pool.run()
    broker.close()
    history.note("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
