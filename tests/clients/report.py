"""How the clients fared: a table for the terminal, and docs/clients.md."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.clients.catalog import ROOT, Client

RECORD = ROOT / "docs/clients.md"

TEXT = """# Clients

Real clients of SQS and SNS against `taskflow serve`, each installed from its registry and run by
`make clients`. This page is written by `python -m tests.clients --record`; the last run was on
{date}.

{table}

A step is one answer compared with the one AWS gives, as far as AWS documents it or answers of it
are recorded. All clients share one server, which has an access key: every signature is checked.
What each step compares is in [tests/clients/](../tests/clients).

"Every operation" is all 23 of SQS, and the 19 of SNS that are not about phones or data protection;
of those the clients see the refusal (`InvalidAction`). boto3 through the same sequence also runs in
the test suite ([test_clients.py](../tests/e2e/test_clients.py)).
"""


@dataclass(frozen=True)
class Outcome:
    """One client's run: exit code, printed lines, seconds."""

    client: Client
    code: int
    lines: Sequence[str]
    seconds: float

    @property
    def good(self) -> bool:
        return self.code == 0 and self.steps > 0

    @property
    def steps(self) -> int:
        return sum(line.startswith("ok ") for line in self.lines)

    @property
    def versions(self) -> str:
        """What the client said it is made of."""
        found = [line for line in self.lines if line.startswith("versions ")]
        return found[0].partition(" ")[2] if found else "?"

    @property
    def result(self) -> str:
        differing = sum(line.startswith("DIFFERS ") for line in self.lines)
        if differing:
            return f"{differing} differ"
        return "no difference" if self.good else f"ended with {self.code}"


def show(outcomes: Sequence[Outcome]) -> str:
    """The table as Markdown."""
    head = ("client", "versions", "SQS as", "what it does", "steps", "result", "s")
    rows = [
        (
            one.client.name,
            one.versions,
            one.client.protocol,
            one.client.does,
            str(one.steps),
            one.result,
            f"{one.seconds:.0f}",
        )
        for one in outcomes
    ]
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(outcomes: Sequence[Outcome]) -> None:
    """Write the record."""
    date = time.strftime("%Y-%m-%d", time.gmtime())
    RECORD.write_text(TEXT.format(date=date, table=show(outcomes)))
