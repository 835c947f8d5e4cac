"""Processes to be killed: each says on standard output where it is, then goes on or waits."""

import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from taskflow import Event, Pool, Registry, Worker, open_broker, publish, publish_many
from taskflow.broker import Broker, Finish
from taskflow.broker.change import Change, Put, Send
from taskflow.brokers.copying import copy as copying
from taskflow.brokers.copying import tree_copy
from taskflow.brokers.copying.copy import Copy
from taskflow.message import Delivery, Message
from taskflow.scheduling.due_schedules import fire, look
from taskflow.stores.postgres.session import Session
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.tasks.run_trees import RunTrees


def say(*words: object) -> None:
    """One line in one piece, whatever other threads say."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def wait_to_be_killed() -> None:
    threading.Event().wait()


def publish_for_ever(broker: Broker) -> None:
    """Publish batches of random size; say an id once its publish was answered."""
    dice = random.Random()
    number = 0
    while True:
        batch = [
            Message(f"{dice.getrandbits(64):x}-{number + one}", "x" * dice.randrange(1, 3000))
            for one in range(dice.randrange(1, 5))
        ]
        number += len(batch)
        broker.publish("made", batch)
        for message in batch:
            say(message.id)


def publish_many_for_ever(broker: Broker) -> None:
    """Publish events in batches; say an id once its batch was answered. Ids end in how many those
    of the batch are."""
    dice = random.Random()
    while True:
        batch, count = f"{dice.getrandbits(64):x}", dice.choice([1, 2, 60, 300])
        events = [
            Event(
                topic="made", payload="x" * dice.randrange(999), id=f"{batch}-{n}-{count}", time=0.0
            )
            for n in range(count)
        ]
        for id in publish_many(events, broker=broker):
            say(id)


def publish_payloads_for_ever(broker: Broker) -> None:
    """Publish what is nothing but a payload; say its id once that was answered."""
    while True:
        say(publish("made", "x", broker=broker))


def consume_for_ever(broker: Broker) -> None:
    """Receive, delete, and say what was deleted."""
    while True:
        taken = broker.receive("work", limit=5, wait=5)
        broker.delete([Finish(delivery, remember=600) for delivery in taken])
        for delivery in taken:
            say(delivery.id)


def pass_on_for_ever(broker: Broker) -> None:
    """Receive, and settle each in one change with a record and a message of other ids, which lie in
    other files if there are several; say what was passed on."""
    while True:
        for held in broker.receive("work", limit=5, wait=5):
            _pass_on(broker, held, {"done": f"s-{held.id}"})


def pass_on_in_turn(broker: Broker) -> None:
    """As `pass_on_for_ever`; what is sent with it is to be passed on in its turn, so that there is
    as much to do as there was."""
    while True:
        for held in broker.receive("work", limit=5, wait=5):
            _pass_on(broker, held, {"done": f"s-{held.id}", "work": next_of(held.id)})


def _pass_on(broker: Broker, held: Delivery, sent: Mapping[str, str]) -> None:
    change = Change(
        fence=held,
        records=[Put(kind="run", key=f"r-{held.id}", value="x", expected=0)],
        sends=[Send(queue, [Message(id, "x")]) for queue, id in sent.items()],
        settlements=[Finish(held, remember=600)],
    )
    broker.apply([change])[0].or_raise()
    say(held.id)


def next_of(id: str) -> str:
    """`a-1` of `a-0`."""
    name, _, number = id.rpartition("-")
    return f"{name}-{int(number) + 1}"


def fire_for_ever(broker: Broker) -> None:
    """Fire schedules, whoever else does; say how many were due."""
    while True:
        due, _ = look(broker, now := broker.clock.now())
        fire(broker, due, now)
        if due:
            say(len(due))
        broker.wait_record("bell", "due", 0, 0.01)


def copy_and_die(source: Broker, target: Broker, at: str) -> None:
    """Copy what waits to another broker, a few at a time; die at that transaction of any file,
    before it is committed or after it."""
    transact, left = SqliteStore.transact, int(at)

    def dies(*given: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        last = left == 0
        if last and int(at) % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = transact(*given, **options)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    SqliteStore.transact = dies  # type: ignore[method-assign]
    copying.BATCH = tree_copy.BATCH = 7
    Copy(source, target, trees=[RunTrees()]).run()


def copy_and_die_at_statement(source: Broker, target: Broker, at: str) -> None:
    """As `copy_and_die`, at that statement to PostgreSQL: before it is sent, or after it."""
    run, left = Session._run, int(at)

    def dies(*given: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if not left and int(at) % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = run(*given, **options)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Session._run = dies  # type: ignore[method-assign]
    copying.BATCH = tree_copy.BATCH = 7
    Copy(source, target, trees=[RunTrees()]).run()


def die_inside_handler(broker: Broker) -> None:
    def handle(event: Event[Any]) -> None:
        say("inside", event.id, event.attempt)
        wait_to_be_killed()

    work(broker, handle)


def die_before_ack(broker: Broker) -> None:
    """The handler has had its effect; the acknowledgement never reaches the file."""

    def handle(event: Event[Any]) -> None:
        say("effect", event.id, event.attempt)

    def delete(entries: Any) -> list[bool]:
        say("before-ack")
        wait_to_be_killed()
        return []

    broker.delete = delete  # type: ignore[method-assign, assignment]
    work(broker, handle)


def die_after_ack(broker: Broker) -> None:
    delete = broker.delete

    def delete_and_stop(entries: Any) -> list[bool]:
        answers = delete(entries)
        say("acked")
        wait_to_be_killed()
        return answers

    broker.delete = delete_and_stop  # type: ignore[method-assign, assignment]
    work(broker, lambda event: say("effect", event.id, event.attempt))


def die_inside_the_first(broker: Broker) -> None:
    """Of the group `a`."""

    def handle(event: Event[Any]) -> None:
        if event.id == "a1":
            say("inside", event.id, event.attempt)
            wait_to_be_killed()

    work(broker, handle, "lined.fifo")


def die_inside_the_second(broker: Broker) -> None:
    """Of the group `a`, once the first is acknowledged."""
    delete = broker.delete
    acked = threading.Event()

    def noted(entries: Any) -> list[bool]:
        answers = delete(entries)
        if any(entry.delivery.id == "a1" for entry in entries):
            acked.set()
        return answers

    def handle(event: Event[Any]) -> None:
        if event.id == "a2":
            acked.wait()
            say("inside", event.id, event.attempt)
            wait_to_be_killed()

    broker.delete = noted  # type: ignore[method-assign, assignment]
    work(broker, handle, "lined.fifo")


def handle_groups(broker: Broker) -> None:
    """Say when each message starts, ends and is acknowledged."""
    delete = broker.delete

    def noted(entries: Any) -> list[bool]:
        answers = delete(entries)
        for entry, ok in zip(entries, answers, strict=True):
            say("acked" if ok else "stale", entry.delivery.id)
        return answers

    def handle(event: Event[Any]) -> None:
        say("start", event.id)
        threading.Event().wait(0.01)
        say("end", event.id)

    broker.delete = noted  # type: ignore[method-assign, assignment]
    work(broker, handle, "lined.fifo")


def work(broker: Broker, handler: Any, queue: str = "work") -> None:
    registry = Registry()

    def handle(event: Event[Any]) -> None:
        handler(event)

    topic = "made.fifo" if queue.endswith(".fifo") else "made"
    registry.subscribe(topic, queue=queue, retries=2)(handle)
    Pool(Worker(broker, registry=registry), concurrency=2).run()


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    globals()[role](*(open_broker(one) if ":" in one else one for one in given))
