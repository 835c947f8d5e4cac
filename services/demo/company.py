"""The processes of the demo, and how their lines are read."""

import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from services.demo.stage import PATIENCE, Stage

ROOT = Path(__file__).parents[2]
_RUN = re.compile(
    r"event=(\S+) topic=(\S+) queue=(\S+) handler=(\S+) attempt=(\d+) outcome=(\S+) \S+(.*)"
)


class Company:
    """The processes of the demo, and what they say."""

    def __init__(
        self, stage: Stage, environment: dict[str, str], before: Sequence[str] = ()
    ) -> None:
        """`before`: what Python runs that then runs the programs."""
        self._stage = stage
        self._before = before
        self._environment = environment
        self._processes: list[tuple[str, subprocess.Popen[str], threading.Thread]] = []

    def start(self, name: str, *arguments: str) -> None:
        """Start a Python process whose lines are shown as `name`'s. It is given the environment as
        it is now."""
        process = subprocess.Popen(
            [sys.executable, *self._before, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(name, process))
        reader.start()
        self._processes.append((name, process, reader))

    def kill(self, name: str) -> None:
        """SIGKILL to a process that was started under this name, and wait for its end."""
        found = next(one for one in self._processes if one[0] == name)
        self._processes.remove(found)
        _, process, reader = found
        process.kill()
        process.wait()
        reader.join()

    def _read(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if text := readable(line.rstrip()):
                self._stage.say(name, text)
        process.stdout.close()

    def stop(self) -> list[str]:
        """SIGTERM to all, and wait; answers those that did not exit with 0."""
        for _, process, _ in self._processes:
            process.terminate()
        bad = []
        for name, process, reader in reversed(self._processes):
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            reader.join()
            if code:
                bad.append(f"{name} exited with {code}")
        return bad


def command(environment: dict[str, str], *arguments: str) -> str:
    """What `cli.py` prints. Raises SystemExit when it fails."""
    done = subprocess.run(
        [sys.executable, "cli.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise SystemExit(f"the demo failed: cli.py {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def readable(line: str) -> str:
    """A log line as a reader of the flow wants it; empty for what only operators want."""
    if found := _RUN.search(line):
        event, topic, _, handler, attempt, outcome, detail = found.groups()
        where = handler.removeprefix("services.")
        what = event if topic == handler else topic  # a run of a task is named by its id
        return f"{what} → {where}, attempt {attempt}: {outcome}{detail}"
    text = re.sub(r"^\S+ \S+ (INFO|WARNING|ERROR) \S+ ", r"\1 ", line)
    text = text.removeprefix("INFO ")
    return "" if text.startswith(("Traceback", "  ", "return", "raise")) else text
