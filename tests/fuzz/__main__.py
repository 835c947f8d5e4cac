"""`python -m tests.fuzz`: requests that are nearly right, from a seed, at everything that listens.

SNS and SQS in both dialects, open and with a limited key, and the pages; the order API; payment
over gRPC. Wanted of each: an answer in words, none that blames the server, no traceback in the log,
and in the end everything still works. The seed makes the requests; those of a batch run at once.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from random import Random, SystemRandom

from tests.fuzz.orders import OrderFuzz
from tests.fuzz.payments import PaymentFuzz
from tests.fuzz.values import Values
from tests.fuzz.verdict import LogWatch, Verdict
from tests.fuzz.wire import WireFuzz

AT_ONCE = 8
SHARES = {"wire": 0.6, "limited": 0.2, "orders": 0.15, "payments": 0.05}


def run(requests: int, seed: int, folder: Path, targets: tuple[str, ...] = ()) -> Verdict:
    """So many requests in all, shared out over the targets."""
    verdict = Verdict()
    with LogWatch(verdict):
        for target in targets or tuple(SHARES):
            values = Values(Random(f"{seed} {target}"))
            most = round(requests * SHARES[target])
            if target in ("wire", "limited"):
                fuzz = WireFuzz(values, verdict, folder, limited=target == "limited")
                asyncio.run(_wire(fuzz, most))
                continue
            make = OrderFuzz if target == "orders" else PaymentFuzz
            other = make(values, verdict, folder)
            for _ in range(most):
                other.send()
            other.close()
    return verdict


async def _wire(fuzz: WireFuzz, most: int) -> None:
    async with fuzz.serve():
        for _ in range(0, most, AT_ONCE):
            await fuzz.send(AT_ONCE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--seed", type=int, help="default: a new one, printed")
    parser.add_argument("--target", action="append", choices=SHARES, default=[])
    given = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}: {given.requests} requests", flush=True)
    logging.getLogger().setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        verdict = run(given.requests, seed, Path(folder), tuple(given.target))
    print(verdict.show())
    return bool(verdict.findings)


if __name__ == "__main__":
    sys.exit(main())
