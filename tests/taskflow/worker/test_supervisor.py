"""Children that die are replaced, children that end are not missed, all stop together."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from taskflow.clock import SystemClock
from taskflow.worker.supervisor import RECYCLED, Supervisor

WAIT = 20.0
# From the moment the file is there, SIGTERM waits for sigwait.
READY = (
    "import signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
    "open(sys.argv[1], 'a').write('up\\n');"
)
LIVE = "signal.sigwait([signal.SIGTERM]); raise SystemExit({code})"


def supervise(
    folder: Path,
    code: Callable[[int], str],
    *,
    processes: int = 1,
    once: bool = False,
    reloads: bool = False,
) -> tuple[Supervisor, list[Path]]:
    """A supervisor whose nth child runs `code(n)`; it lists the starts."""
    starts: list[Path] = []

    def command(heartbeat: Path) -> Sequence[str]:
        starts.append(heartbeat)
        return [sys.executable, "-S", "-c", READY + code(len(starts) - 1), f"{heartbeat}.up"]

    supervisor = Supervisor(
        command,
        processes=processes,
        folder=folder,
        environment=os.environ,
        once=once,
        clock=SystemClock(),
        random=random.Random(1),
        reloads=reloads,
    )
    return supervisor, starts


class Run:
    """A supervisor in a thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.codes: list[int] = []
        self.thread = threading.Thread(target=lambda: self.codes.append(supervisor.run()))
        self.thread.start()

    def end(self) -> int:
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        return self.codes[0]


def eventually(holds: Callable[[], bool]) -> None:
    clock, pause = SystemClock(), threading.Condition()
    until = clock.now() + WAIT
    with pause:
        while not holds():
            assert clock.now() < until
            clock.wait(pause, 0.01)


def up(folder: Path) -> int:
    """How many children have come up so far."""
    return sum(len(found.read_text().splitlines()) for found in folder.glob("*.up"))


def pids(supervisor: Supervisor) -> list[int]:
    return [child.process.pid for child in supervisor.children if child.process is not None]


def test_a_killed_child_is_replaced_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, _ = supervise(tmp_path, lambda number: LIVE.format(code=0), processes=2)
    run = Run(supervisor)
    eventually(lambda: up(tmp_path) == 2)
    victim = pids(supervisor)[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: up(tmp_path) == 3)
    assert victim not in pids(supervisor)
    assert f"worker process {victim} was ended by SIGKILL; starting another in" in caplog.text
    supervisor.stop()
    assert run.end() == 0


def test_the_worst_exit_code_of_a_stop_counts(tmp_path: Path) -> None:
    supervisor, _ = supervise(tmp_path, lambda number: LIVE.format(code=number), processes=2)
    run = Run(supervisor)
    eventually(lambda: up(tmp_path) == 2)
    supervisor.stop()
    assert run.end() == 1


def test_a_child_stopped_while_it_starts_is_no_failure(tmp_path: Path) -> None:
    starting = "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]); signal.pause()"
    supervisor, _ = supervise(tmp_path, lambda number: starting)
    run = Run(supervisor)
    eventually(lambda: up(tmp_path) == 1)
    supervisor.stop()
    assert run.end() == 0


@pytest.mark.slow
def test_a_child_that_dies_again_and_again_waits_longer_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, starts = supervise(tmp_path, lambda number: "raise SystemExit(3)")
    run = Run(supervisor)
    eventually(lambda: len(starts) == 3)
    supervisor.stop()
    run.end()
    waits = [
        float(record.getMessage().split(" in ")[1].removesuffix(" s"))
        for record in caplog.records
        if "exited with 3" in record.getMessage()
    ]
    assert 0.2 <= waits[0] <= 0.5
    assert 0.5 <= waits[1] <= 1.0


def test_with_once_children_that_end_well_are_not_replaced(tmp_path: Path) -> None:
    supervisor, starts = supervise(tmp_path, lambda number: "pass", processes=2, once=True)
    assert Run(supervisor).end() == 0
    assert len(starts) == 2


def test_a_child_that_asks_for_it_is_replaced(tmp_path: Path) -> None:
    def code(number: int) -> str:
        return f"raise SystemExit({RECYCLED})" if number == 0 else LIVE.format(code=0)

    supervisor, _ = supervise(tmp_path, code, once=True)
    run = Run(supervisor)
    eventually(lambda: up(tmp_path) == 2)
    supervisor.stop()
    assert run.end() == 0


def test_a_stop_while_a_child_waits_to_be_started_again_ends(tmp_path: Path) -> None:
    supervisor, starts = supervise(tmp_path, lambda number: "raise SystemExit(3)")
    run = Run(supervisor)
    eventually(lambda: bool(starts) and not pids(supervisor))
    supervisor.stop()
    run.end()


def test_problems_name_the_child(tmp_path: Path) -> None:
    supervisor, _ = supervise(tmp_path, lambda number: LIVE.format(code=0))
    assert supervisor.problems() == ([], ["process 0 is not running"])
    run = Run(supervisor)
    eventually(lambda: bool(pids(supervisor)))
    assert supervisor.problems() == ([], ["process 0: no heartbeat yet"])
    (tmp_path / "worker-0.json").write_text(
        f'{{"at": {SystemClock().now() - 100}, "live": true, "ready": true, "reasons": []}}'
    )
    dead, unready = supervisor.problems()
    assert dead == unready == ["process 0: no heartbeat for 100 s"]
    supervisor.stop()
    run.end()


def test_children_that_can_never_start_end_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, starts = supervise(tmp_path, lambda number: "raise SystemExit(2)", processes=2)
    assert Run(supervisor).end() == 2
    assert len(starts) == 2
    assert "it is not started again" in caplog.text


def test_what_can_never_start_is_tried_again_after_a_change(tmp_path: Path) -> None:
    """A file was saved half written: `--reload` waits for the next save."""
    supervisor, starts = supervise(
        tmp_path, lambda n: "raise SystemExit(2)" if n == 0 else LIVE.format(code=0), reloads=True
    )
    run = Run(supervisor)
    eventually(
        lambda: bool(supervisor.problems()[1]) and "is not running" in supervisor.problems()[1][0]
    )
    assert run.thread.is_alive()
    supervisor.replace_all()
    eventually(lambda: len(starts) == 2 and up(tmp_path) == 2)
    supervisor.stop()
    assert run.end() == 0


def test_a_burst_that_reloads_ends_with_its_children(tmp_path: Path) -> None:
    supervisor, _ = supervise(tmp_path, lambda n: "raise SystemExit(0)", once=True, reloads=True)
    assert Run(supervisor).end() == 0
