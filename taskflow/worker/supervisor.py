"""Several worker processes under one: started anew when they die, stopped together."""

import logging
import math
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGTERM, Signals

from taskflow.clock import Clock
from taskflow.worker.health import read_heartbeat

log = logging.getLogger("taskflow.worker.supervisor")

WRONG = 2  # exit code of a worker that can never start
RECYCLED = 75  # exit code of a worker that asks for a successor
STABLE_AFTER = 30.0  # seconds of life after which a death starts the back-off anew
QUICK = 1.0  # seconds; whoever ends sooner has not worked
FIRST_WAIT, LAST_WAIT = 0.5, 30.0
STALE_AFTER = 60.0  # seconds without a heartbeat


@dataclass
class Child:
    """One place for a process, and the process that has it now."""

    number: int
    heartbeat: Path
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = field(default=None)


class Supervisor:
    """Keeps `processes` children running `command` until `stop`.

    A child that exits with 0 or RECYCLED is replaced at once, one that dies otherwise (or within
    a second) after a back-off that doubles from 0.5 s to 30 s. With `once`, exit code 0 is the end
    of a child; exit code 2 (it can never start) always is, but with `reloads`, which waits for
    `replace_all`. `command` is given the path of the child's heartbeat file.
    """

    def __init__(
        self,
        command: Callable[[Path], Sequence[str]],
        *,
        processes: int,
        folder: Path,
        environment: Mapping[str, str],
        once: bool,
        clock: Clock,
        random: Random,
        reloads: bool = False,
    ) -> None:
        self._command = command
        self._environment = environment
        self._once = once
        self._clock = clock
        self._random = random
        self._reloads = reloads
        self.children = [
            Child(number, folder / f"worker-{number}.json") for number in range(processes)
        ]
        self._changed = threading.Condition()
        self._signals = 0

    def run(self) -> int:
        """Supervise until every child has ended after `stop`; the worst exit code of those."""
        worst = 0
        with self._changed:
            for child in self.children:
                self._start(child)
            while True:
                for child in self.children:
                    worst = max(worst, self._look_after(child))
                running = any(child.process is not None for child in self.children)
                waiting = any(child.restart_at is not None for child in self.children)
                if not running and (self._signals or not waiting):
                    return worst
                self._clock.wait(self._changed, self._until_next_start())

    def _until_next_start(self) -> float | None:
        times = [child.restart_at for child in self.children if child.restart_at is not None]
        next_start = min(times, default=math.inf)
        if self._signals or next_start == math.inf:
            return None
        return max(0.0, next_start - self._clock.now())

    def _look_after(self, child: Child) -> int:
        """Notice a death, plan or make a start; answers the exit code that counts, else 0."""
        now = self._clock.now()
        if child.process is not None and (code := child.process.poll()) is not None:
            pid, child.process = child.process.pid, None
            if self._signals:
                if code == -SIGTERM:
                    return 0  # it was still starting, and held nothing
                return 128 - code if code < 0 else code
            lived = now - child.started_at
            if code == 0 and self._once:
                return 0
            if code == WRONG and self._reloads:
                log.error("worker process %d: it is started again when a file changes", pid)
                child.restart_at = math.inf
                return 0
            if code == WRONG:
                log.error("worker process %d: wrong settings; it is not started again", pid)
                return code
            if code in (0, RECYCLED) and lived >= QUICK:
                child.failures, child.restart_at = 0, now
            else:
                child.failures = 1 if lived >= STABLE_AFTER else child.failures + 1
                longest = min(LAST_WAIT, FIRST_WAIT * 2 ** (child.failures - 1))
                wait = self._random.uniform(longest / 2, longest)
                child.restart_at = now + wait
                how = f"was ended by {Signals(-code).name}" if code < 0 else f"exited with {code}"
                log.error("worker process %d %s; starting another in %.1f s", pid, how, wait)
        if child.restart_at is not None and child.restart_at <= now and not self._signals:
            self._start(child)
        return 0

    def _start(self, child: Child) -> None:
        child.restart_at = None
        child.heartbeat.unlink(missing_ok=True)
        child.started_at = self._clock.now()
        child.process = subprocess.Popen(
            self._command(child.heartbeat), env=self._environment, start_new_session=True
        )
        log.info("worker process %d started", child.process.pid)
        threading.Thread(target=self._wait_for, args=(child.process,), daemon=True).start()

    def _wait_for(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait()
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop the children gracefully; said again, at once. Returns at once."""
        with self._changed:
            self._signals += 1
            for child in self.children:
                if child.process is not None:
                    child.process.send_signal(SIGTERM)
            self._changed.notify_all()

    stop_now = stop

    def replace_all(self) -> None:
        """Stop every child gracefully; each is followed by a new one (for --reload)."""
        with self._changed:
            for child in self.children:
                if child.process is not None:
                    child.process.send_signal(SIGTERM)
                elif child.restart_at is not None:
                    child.restart_at = self._clock.now()
            self._changed.notify_all()

    def problems(self) -> tuple[list[str], list[str]]:
        """What is wrong with which child."""
        dead: list[str] = []
        unready: list[str] = []
        now = self._clock.now()
        with self._changed:
            for child in self.children:
                if child.process is None:
                    unready.append(f"process {child.number} is not running")
                    continue
                found = read_heartbeat(child.heartbeat, now, STALE_AFTER)
                if now - child.started_at > STALE_AFTER or found[0] != ["no heartbeat yet"]:
                    dead += [f"process {child.number}: {reason}" for reason in found[0]]
                unready += [f"process {child.number}: {reason}" for reason in found[1]]
        return dead, unready
