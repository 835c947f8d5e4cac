"""One publisher of a chaos run. A successor goes on where a killed one was.

What a killed or refused publish leaves open is repeated under the same id for every second
message that is not toxic; the others are given up, and the checker sees what became of them.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

from taskflow import Event, open_broker, publish_many
from taskflow.broker import Broker
from taskflow.errors import BrokerError, BrokerFileError
from tests.chaos.disk import obey_page_limit
from tests.chaos.history import History, clock, read
from tests.chaos.plan import HUGE, KINDS, MAKERS, Plan, make_plan

MOST = 8  # messages in one publish
NO_BROKER = 3


def repeats(plan: Plan, number: int) -> bool:
    """Whether a publish that was not answered is tried again."""
    return number // MAKERS % 2 == 0 and KINDS[plan.kinds[number]].fate == "handled"


def batches(plan: Plan, numbers: list[int], dice: Random) -> Iterator[list[int]]:
    """Runs of one kind, so that each publish is one transaction."""
    while numbers:
        kind, size = plan.kinds[numbers[0]], dice.randint(1, MOST)
        some: list[int] = []
        while numbers and len(some) < size and plan.kinds[numbers[0]] == kind:
            some.append(numbers.pop(0))
        yield some


def left(plan: Plan, slot: int, folder: Path) -> list[int]:
    """What this slot has not published yet, going by what its predecessors wrote."""
    tried: set[int] = set()
    closed: set[int] = set()
    for fact in read(folder, f"maker-{slot}-*.jsonl"):
        if fact["fact"] == "publishing":
            tried |= set(fact["numbers"])
        elif fact["fact"] == "published":
            closed |= set(fact["numbers"])
    closed |= {number for number in tried if not repeats(plan, number)}
    return [number for number in plan.numbers(slot) if number not in closed]


def publish(
    plan: Plan, some: list[int], broker: Broker, history: History, pause: threading.Event
) -> None:
    kind = KINDS[plan.kinds[some[0]]]
    while some:
        events = [
            Event(
                topic=kind.topic,
                payload={"n": number} | ({"filler": "x" * HUGE} if kind.name == "huge" else {}),
                id=f"m{number}",
                time=clock.now(),
                group=plan.group(number),
            )
            for number in some
        ]
        ids = [event.id for event in events]
        groups = [event.group for event in events]
        history.note("publishing", kind=kind.name, ids=ids, numbers=some, groups=groups)
        try:
            publish_many(events, broker=broker)
        except BrokerError as error:
            if isinstance(error, BrokerFileError):  # of a server nobody knows whether it was stored
                history.note("publish-refused", ids=ids, error=str(error))
            some = [number for number in some if repeats(plan, number)]
            pause.wait(0.2)
        else:
            history.note("published", ids=ids, numbers=some)
            return


def main(folder: Path, who: str, address: str, plan: Plan, started: float) -> int:
    history = History(folder, who)
    slot = int(who.split("-")[1])
    try:
        broker = open_broker(address)
    except BrokerError as error:
        history.note("no-broker", error=str(error))
        return NO_BROKER
    threading.Thread(target=obey_page_limit, args=(folder.parent, broker), daemon=True).start()
    pause = threading.Event()
    numbers = left(plan, slot, folder)
    for some in batches(plan, numbers, Random(f"{plan.seed} {who}")):
        pause.wait(max(0.0, started + plan.due(some[-1]) - clock.now()))
        publish(plan, some, broker, history, pause)
    broker.close()
    history.note("finished")
    return 0


if __name__ == "__main__":
    messages, kills, seed = map(int, sys.argv[4:7])
    sys.exit(
        main(
            Path(sys.argv[1]),
            sys.argv[2],
            sys.argv[3],
            make_plan(messages, kills, seed),
            float(sys.argv[7]),
        )
    )
