"""What fuzzing found: answers that must not be, and lines of the log that nobody expected."""

import logging
from collections import Counter
from dataclasses import dataclass, field

KEPT = 20  # findings told in full
OURS = ("taskflow", "services", "asyncio", "uvicorn", "falcon")


@dataclass
class Verdict:
    """`answers`: how often each was given, by target; `findings`: what was wrong, with the number
    of the request, which its seed makes again."""

    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    requests: int = 0

    def answered(self, target: str, answer: object) -> None:
        self.answers[f"{target} {answer}"] += 1

    def wrong(self, what: str, request: object) -> None:
        """Note a finding."""
        self.findings.append(f"request {self.requests}: {what}: {request!r:.1500}")

    def show(self) -> str:
        lines = [f"{count:>8}  {answer}" for answer, count in sorted(self.answers.items())]
        lines += [f"FOUND  {text}" for text in self.findings[:KEPT]]
        return "\n".join([*lines, f"{len(self.findings):>8}  findings"])


class LogWatch(logging.Handler):
    """Every error and traceback in the log of ours is a finding."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self._verdict = verdict

    def emit(self, record: logging.LogRecord) -> None:
        mine = record.name.startswith(OURS)
        if mine and (record.levelno >= logging.ERROR or record.exc_info):
            text = logging.Formatter().format(record)
            self._verdict.wrong("in the log", text[-1200:])

    def __enter__(self) -> "LogWatch":
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
