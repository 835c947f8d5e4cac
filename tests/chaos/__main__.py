"""`python -m tests.chaos`: a chaos run from a seed, and what the checker says of it.

The seed fixes the messages, the faults, whom they hit and when. It does not fix how the machine
schedules the processes: two runs of a seed meet the same faults at different points of the code.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.chaos.check import Verdict, check_run, show
from tests.chaos.conductor import Conductor
from tests.chaos.older import taken_out
from tests.chaos.plan import make_plan


def run(
    messages: int,
    kills: int,
    seed: int,
    folder: Path,
    *,
    say: bool = True,
    scheme: str = "sqlite",
    reshards: int = 0,
    mixed: str = "",
) -> tuple[Verdict, str]:
    """One run in an empty folder; answers the verdict, and how the disk was made full. `mixed` is a
    revision whose framework half of the processes run."""
    plan = make_plan(messages, kills, seed, reshards)
    if say:
        print(f"seed {seed}: {messages} messages, {kills} kills, {plan.seconds:.0f} s and a rest")
    older = taken_out(mixed, folder / "older") if mixed else None
    conductor = Conductor(folder, plan, (messages, kills, seed), say, scheme, older)
    try:
        address = conductor.run()
        return check_run(conductor.histories, address), conductor.disk.how
    finally:
        conductor.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, help="default: a new one, printed")
    parser.add_argument("--broker", choices=["sqlite", "sharded", "postgresql"], default="sqlite")
    parser.add_argument("--reshard", type=int, default=0, help="so often another number of files")
    parser.add_argument(
        "--mixed", metavar="REVISION", default="", help="half of all processes run this older one"
    )
    parser.add_argument("--report", type=Path, help="write the result to this file, as JSON")
    parser.add_argument("--keep", type=Path, help="a new folder in which histories are kept")
    given = parser.parse_args()
    if given.reshard and given.broker != "sharded":
        parser.error("--reshard is for --broker sharded")
    seed = SystemRandom().randrange(10**6) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        verdict, disk = run(
            *(given.messages, given.kills, seed, folder),
            scheme=given.broker,
            reshards=given.reshard,
            mixed=given.mixed,
        )
    print(f"no room, or no server, by {disk}\n")
    print(show(verdict))
    if given.report:
        report = {"seed": seed, "disk": disk, **verdict.table, "violations": verdict.violations}
        given.report.write_text(json.dumps(report, indent=2) + "\n")
    return bool(verdict.violations)


if __name__ == "__main__":
    sys.exit(main())
