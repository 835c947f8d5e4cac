"""What a chaos run does, all from its seed: which messages, which faults, and when."""

import itertools
from dataclasses import asdict, dataclass
from random import Random

from taskflow.limits import FIFO_SUFFIX, is_fifo

WORKERS = 4
MAKERS = 2
GROUPS = 8  # message groups of each maker, so that one process alone says what their order is
VISIBILITY = 1.5
SETTLED_LATER = 120.0  # seconds a run may need, after the last message, to come to rest
HUGE = 1024 * 1024 - 600  # characters; the envelope around them must fit too


@dataclass(frozen=True)
class Kind:
    """One sort of message. `fate` is what must become of it; `one_in` how rare it is; `act` what
    its handler does, by default what its name says."""

    name: str
    retries: int
    fate: str
    one_in: int
    queues: tuple[str, ...] = ("work",)
    timeout: float = 30.0
    act: str = ""

    @property
    def fifo(self) -> bool:
        return is_fifo(self.queues[0])

    @property
    def topic(self) -> str:
        return f"chaos.{self.name}" + (FIFO_SUFFIX if self.fifo else "")


LINED = ("lined.fifo",)

# Most messages are "plain". There is one of each other kind at least, however small the run.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("plain", 5, "handled", 1),
        Kind("both", 5, "handled", 10, ("work", "second")),
        Kind("slow", 5, "handled", 15),
        Kind("coroutine", 5, "handled", 40, ("second",)),
        Kind("flaky", 5, "handled", 40),
        Kind("huge", 5, "handled", 1000),
        Kind("raises", 2, "dead", 500),
        Kind("rejects", 2, "dead", 500),
        Kind("exits", 1, "dead", 1000),
        Kind("hangs", 1, "dead", 2000, timeout=0.5),
        Kind("kills", 2, "dead", 10000),
        Kind("lined", 5, "handled", 5, LINED, act="plain"),
        Kind("lined_flaky", 5, "handled", 60, LINED, act="flaky"),
        Kind("lined_slow", 5, "handled", 60, LINED, act="slow"),
        Kind("lined_rejects", 2, "dead", 500, LINED, act="rejects"),
        Kind("lined_kills", 2, "dead", 20000, LINED, act="kills"),
    )
}
QUEUES = sorted({queue for kind in KINDS.values() for queue in kind.queues})


@dataclass(frozen=True)
class Fault:
    """`what`: kill or stop, at a process (`whom`: worker or maker, `slot`); or disk, lock; or
    shards: the broker gets `slot` files, by a process that is killed after `seconds`, if any.

    `at` and `seconds` (how long it lasts) count from the start of the run.
    """

    at: float
    what: str
    whom: str = ""
    slot: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The whole run: `kinds[n]` is the kind of message number n."""

    seed: int
    seconds: float
    kinds: tuple[str, ...]
    faults: tuple[Fault, ...]

    def numbers(self, maker: int) -> range:
        """The messages that this maker publishes."""
        return range(maker, len(self.kinds), MAKERS)

    def group(self, number: int) -> str | None:
        """The message group, if its queue is FIFO: one of its maker's."""
        fifo = KINDS[self.kinds[number]].fifo
        return f"g{number % (MAKERS * GROUPS)}" if fifo else None

    def due(self, number: int) -> float:
        """When, in seconds from the start, a message is published at the earliest."""
        return self.seconds * number / len(self.kinds)


def make_plan(messages: int, kills: int, seed: int, reshards: int = 0) -> Plan:
    """The same arguments give the same plan; `reshards` changes nothing else in it."""
    dice = Random(seed)
    seconds = max(5.0, kills * 0.75, messages / 400)
    kinds = ["plain"] * messages
    rare = [kind for kind in KINDS.values() if kind.one_in > 1]
    places = iter(dice.sample(range(messages), min(messages, _rare_count(messages))))
    for kind in rare:
        for place in itertools.islice(places, max(1, messages // kind.one_in)):
            kinds[place] = kind.name
    faults = _faults(seconds, kills, dice) + _reshards(seconds, reshards, Random(seed))
    return Plan(seed, seconds, tuple(kinds), tuple(sorted(faults, key=lambda fault: fault.at)))


def _rare_count(messages: int) -> int:
    return sum(max(1, messages // kind.one_in) for kind in KINDS.values() if kind.one_in > 1)


def _faults(seconds: float, kills: int, dice: Random) -> list[Fault]:
    """Kills and stops all along; a lock in the second quarter, a full disk in the third."""
    span = max(1.5, min(5.0, seconds / 60))
    faults = [
        Fault(0.20 * seconds, "lock", seconds=span),
        Fault(0.55 * seconds, "disk", seconds=span),
    ]
    if seconds > 300:  # longer than the broker waits for a lock: it must give up and come back
        faults.append(Fault(0.35 * seconds, "lock", seconds=33.0))
    for _ in range(kills):
        whom, slot = _victim(dice)
        faults.append(Fault(dice.uniform(0.02, 0.98) * seconds, "kill", whom, slot))
    for _ in range(max(2, kills // 10)):
        at, long = dice.uniform(0.05, 0.9) * seconds, dice.uniform(1.2, 2.5) * VISIBILITY
        faults.append(Fault(at, "stop", "worker", dice.randrange(WORKERS), long))
    return sorted(faults, key=lambda fault: fault.at)


def _reshards(seconds: float, count: int, dice: Random) -> list[Fault]:
    """Two of three are killed at it, and the last one is not."""
    faults = []
    for number in range(count):
        at = (0.05 + 0.9 * number / count) * seconds
        killed = number % 3 and number != count - 1
        after = dice.uniform(0.2, 1.2) if killed else 0.0
        faults.append(Fault(at, "shards", slot=dice.randint(1, 6), seconds=after))
    return faults


def _victim(dice: Random) -> tuple[str, int]:
    if dice.random() < 0.25:
        return "maker", dice.randrange(MAKERS)
    return "worker", dice.randrange(WORKERS)


def contract() -> list[dict[str, object]]:
    """What the checker must know of the kinds, as facts."""
    return [asdict(kind) | {"topic": kind.topic} for kind in KINDS.values()]
