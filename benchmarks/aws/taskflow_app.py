"""taskflow's handler."""

from dataclasses import dataclass

from benchmarks.aws.sender import tell
from taskflow import subscribe


@dataclass
class Numbered:
    number: int


@subscribe("job", queue="jobs")
def handle(job: Numbered) -> None:
    tell(job.number)
