"""`taskflow dlq move`, `moves`, `cancel`."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

import taskflow
from taskflow import Broker, QueueSettings
from taskflow.cli.moves import step_until_over
from taskflow.message import Message
from taskflow.testing import ManualClock, memory_broker

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def letters(broker: Broker) -> Broker:
    """Three dead letters of the queue `work`."""
    return bury_three(broker)


def bury_three(broker: Broker) -> Broker:
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=1))
    broker.create_queue("other")
    die(broker, 3)
    return broker


def die(broker: Broker, count: int) -> None:
    broker.send("work", [Message(f"{count}-{number}", "x") for number in range(count)])
    for letter in broker.receive("work", limit=count):
        broker.dead_letter([(letter, "{}")])


def visible(broker: Broker, *queues: str) -> list[int]:
    return [broker.counts(queue).visible for queue in queues]


class PassingClock(ManualClock):
    """Stands still but while somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.advance(timeout)
        return False


@pytest.fixture
def clock() -> PassingClock:
    return PassingClock()


@pytest.fixture
def timed(clock: PassingClock) -> Iterator[Broker]:
    """As `letters`, on `clock`."""
    with closing(memory_broker(clock=clock)) as broker:
        yield bury_three(broker)


# ---- move -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["work", "work-dlq"])
def test_it_moves_all_back_before_it_ends(run: Run, broker: Broker, name: str) -> None:
    result = run("dlq", "move", name)
    assert (result.exit_code, result.stdout) == (0, f"moved 3 of 3 dead letters of {name}\n")
    assert visible(broker, "work-dlq", "work") == [0, 3]
    (task,) = broker.moves("work-dlq")
    assert (task.status, task.moved, task.destination, task.rate) == ("COMPLETED", 3, None, None)


def test_it_moves_to_another_queue(run: Run, broker: Broker) -> None:
    assert run("dlq", "move", "work", "--to", "other").exit_code == 0
    assert visible(broker, "work-dlq", "work", "other") == [0, 0, 3]


def test_an_empty_queue_is_moved_at_once(run: Run, broker: Broker) -> None:
    broker.purge("work-dlq")
    assert run("dlq", "move", "work").stdout == "moved 0 of 0 dead letters of work\n"


@pytest.mark.slow
def test_many_are_moved_without_waiting(timed: Broker, clock: PassingClock) -> None:
    die(timed, 1200)
    ended = step_until_over(timed, timed.start_move("work-dlq"))
    assert (ended.status, ended.moved) == ("COMPLETED", 1203)
    assert clock.waits == []


@pytest.mark.slow
def test_many_show_their_progress(run: Run, broker: Broker) -> None:
    die(broker, 1200)
    result = run("dlq", "move", "work")
    assert "moving 1203 of 1203 dead letters of work-dlq; Ctrl-C cancels\n" in result.stderr
    assert "moving: 1000 of 1203\n" in result.stderr


def test_a_rate_is_kept(timed: Broker, clock: PassingClock) -> None:
    ended = step_until_over(timed, timed.start_move("work-dlq", rate=2))
    assert (ended.status, visible(timed, "work-dlq", "work")) == ("COMPLETED", [0, 3])
    assert 1.0 <= sum(clock.waits) < 1.2  # one at once, the others half a second apart


def test_it_ends_when_somebody_else_cancels(timed: Broker, clock: PassingClock) -> None:
    task = timed.start_move("work-dlq", rate=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "wait", lambda *_: timed.cancel_move(task.handle))
        ended = step_until_over(timed, task)
    assert (ended.status, ended.moved) == ("CANCELLED", 1)


@pytest.mark.slow
def test_ctrl_c_cancels_the_rest(broker: Broker) -> None:
    die(broker, 200)
    command = [sys.executable, "-m", "taskflow.cli", "dlq", "move", "work", "--rate", "1"]
    root = str(Path(taskflow.__file__).parent.parent)
    with subprocess.Popen(
        command, env={"PYTHONPATH": root}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as moving:
        assert moving.stderr is not None
        assert "Ctrl-C cancels" in moving.stderr.readline()
        moving.send_signal(signal.SIGINT)
        said, errors = moving.communicate(timeout=30)
    (task,) = broker.moves("work-dlq")
    assert task.status == "CANCELLED"
    assert said == f"moved {task.moved} of 203 dead letters of work; cancelled\n"
    assert (moving.returncode, errors) == (0, "")
    assert visible(broker, "work-dlq", "work") == [203 - task.moved, task.moved]


def test_it_goes_on_with_a_task_that_was_left(run: Run, broker: Broker) -> None:
    broker.start_move("work-dlq", "other", None)
    broker.step_moves(1)
    result = run("dlq", "move", "work", "--to", "other")
    assert result.stdout == "moved 3 of 3 dead letters of work\n"
    assert "moving 2 of 3 dead letters of work-dlq" in result.stderr
    assert len(broker.moves("work-dlq")) == 1


def test_another_task_is_in_the_way(run: Run, broker: Broker) -> None:
    broker.start_move("work-dlq", None, 5)
    result = run("dlq", "move", "work")
    assert result.exit_code == 2
    assert "to the origins with rate 5; `taskflow dlq cancel work-dlq` ends it" in result.stderr
    assert visible(broker, "work-dlq") == [3]


def test_a_letter_of_unknown_origin_ends_it_with_1(run: Run, broker: Broker) -> None:
    broker.purge("work-dlq")
    broker.send("work-dlq", [Message("stray", "x")])
    result = run("dlq", "move", "work")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "moved 0 of 1 dead letters of work, then it failed" in result.stderr
    assert "say --to" in result.stderr
    assert run("dlq", "move", "work", "--to", "work").exit_code == 0
    assert visible(broker, "work-dlq", "work") == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["wrk"], "did you mean 'work'"),
        (["plain"], "queue 'plain' has no dead-letter queue"),
        (["lonely-dlq"], "queue 'lonely-dlq' is no queue's dead-letter queue"),
        (["work", "--to", "othr"], "did you mean 'other'"),
        (["work", "--to", "lined.fifo"], "a FIFO queue's messages move to a FIFO queue"),
        (["work", "--rate", "0"], "0 is not in the range 1<=x<=500"),
        (["work", "--rate", "501"], "501 is not in the range 1<=x<=500"),
        (["work", "--rate", "10/s"], "'10/s' is not a valid integer"),
    ],
)
def test_bad_input_exits_2_and_moves_nothing(
    run: Run, broker: Broker, arguments: list[str], reason: str
) -> None:
    broker.create_queue("lonely-dlq")
    broker.create_queue("lined.fifo")
    result = run("dlq", "move", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert (visible(broker, "work-dlq"), broker.moves()) == ([3], [])


# ---- moves ------------------------------------------------------------------------------------
def test_moves_lists_the_newest_first(run: Run, broker: Broker) -> None:
    run("dlq", "move", "work")
    task = broker.start_move("work-dlq", "other", 7)
    heads, first, second = run("dlq", "moves").output.splitlines()
    assert heads.split() == ["QUEUE", "TO", "STATUS", "MOVED", "OF", "RATE", "STARTED", "HANDLE"]
    assert first.split()[:6] == ["work-dlq", "other", "RUNNING", "0", "0", "7"]
    assert first.split()[6].endswith("Z")
    assert first.split()[7] == task.handle
    assert second.split()[:6] == ["work-dlq", "-", "COMPLETED", "3", "3", "-"]


@pytest.mark.parametrize(("name", "count"), [("work", 1), ("work-dlq", 1), ("rest", 0)])
def test_moves_as_json_of_one_queue(run: Run, broker: Broker, name: str, count: int) -> None:
    broker.create_queue("rest-dlq")
    broker.create_queue("rest", QueueSettings(dead_letter_queue="rest-dlq", max_receives=1))
    run("dlq", "move", "work", "--rate", "500")
    found = json.loads(run("dlq", "moves", name, "--json").output)
    assert len(found) == count
    for task in found:
        assert task.keys() >= {"handle", "source", "destination", "started_at", "failure"}
        assert (task["status"], task["moved"], task["rate"]) == ("COMPLETED", 3, 500)


def test_moves_says_that_there_are_none(run: Run) -> None:
    assert run("dlq", "moves").output == "no move tasks\n"
    assert run("dlq", "moves", "--json").output == "[]\n"
    assert run("dlq", "moves", "wrk").exit_code == 2


def test_a_failed_one_says_why(run: Run, broker: Broker) -> None:
    broker.send("work-dlq", [Message("stray", "x")])
    run("dlq", "move", "work")
    assert "FAILED (CouldNotDetermineMessageSource)" in run("dlq", "moves").output


# ---- cancel -----------------------------------------------------------------------------------
def test_cancel_ends_the_running_task(run: Run, broker: Broker) -> None:
    broker.start_move("work-dlq", None, 1)
    broker.step_moves()
    result = run("dlq", "cancel", "work")
    assert (result.exit_code, result.output) == (
        0,
        "cancelled; moved 1 of 3 dead letters of work\n",
    )
    assert broker.step_moves() is False
    assert visible(broker, "work-dlq", "work") == [2, 1]


def test_cancel_without_a_task_exits_2(run: Run) -> None:
    run("dlq", "move", "work")
    result = run("dlq", "cancel", "work")
    assert (result.exit_code, "work-dlq has no running move task" in result.stderr) == (2, True)
