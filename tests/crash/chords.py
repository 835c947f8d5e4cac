"""`python -m tests.crash.chords`: chords of 100 members whose workers are killed, from a seed."""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom

from taskflow import chord, open_broker
from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.topology import declare
from tests.crash.nursery import MEMBERS, Chords
from tests.crash.processes import check_integrity, end_leases

MOST_KILLS = 4  # of one chord
LONGEST = 0.15  # seconds that a worker may live before it is killed


class Nursery:
    """Forks workers, one at a time, and kills them."""

    def __init__(self, address: str, file: Path) -> None:
        program = Path(__file__).with_name("nursery.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), address, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, seconds: float | None) -> None:
        """One worker, killed after so long; or until it ends."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        print("end" if seconds is None else seconds, file=stdin, flush=True)
        assert stdout.readline() == "gone\n"

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Broker, Chords, Nursery, Path, str]]:
    """A broker's file with the queue of the chords, and a nursery."""
    address, said = f"sqlite:///{folder}/broker.db?durability=process", folder / "said"
    said.touch()
    broker, chords = open_broker(address), Chords()
    declare(broker, chords.registry)
    nursery = Nursery(address, said)
    try:
        yield broker, chords, nursery, said, address
    finally:
        nursery.close()
        broker.close()


def run(runs: int, seed: int, folder: Path) -> int:
    """So many chords; answers how many workers were killed. Raises AssertionError for a chord that
    did not end as it would have without."""
    random, kills = Random(seed), 0
    with opened(folder) as (broker, chords, nursery, said, address):
        for number in range(runs):
            plan = chord((chords.member.s(n) for n in range(MEMBERS)), chords.body.s())
            result = plan.delay(broker=broker)
            deaths = random.randint(1, MOST_KILLS)
            for _ in range(deaths):
                nursery.run(random.uniform(0.0, LONGEST))
                end_leases(address)
            kills += deaths
            nursery.run(None)
            assert result.get(0) == sum(range(MEMBERS)), f"chord {number} of seed {seed}"
            check(broker, result.id, said, deaths)
            said.write_text("")
        check_integrity(address)
    return kills


def check(broker: Broker, root: str, said: Path, kills: int) -> None:
    """Each part ended, and was begun again no more often than a worker died."""
    rows = broker.list_records(RecordQuery(kind="run", parent=root, limit=1000)).records
    assert len(rows) == MEMBERS + 1
    assert {one.state for one in rows} == {"done"}
    assert {one.count for one in rows} == {0}
    begun = Counter(line.split()[0] for line in said.read_text().splitlines())
    assert len(begun) == MEMBERS + 1
    assert max(begun.values()) <= 1 + kills, begun.most_common(3)
    assert broker.counts("default-dlq").visible == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chords", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="default: a new one, printed")
    asked = parser.parse_args()
    seed = SystemRandom().randrange(2**31) if asked.seed is None else asked.seed
    print(f"seed {seed}: {asked.runs} chords of {MEMBERS}")
    with tempfile.TemporaryDirectory() as folder:
        kills = run(asked.runs, seed, Path(folder))
    print(f"{asked.runs} chords, {kills} kills: each body ran to its end once")


if __name__ == "__main__":
    main()
