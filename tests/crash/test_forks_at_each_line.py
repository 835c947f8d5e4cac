"""A handler of signals may fork anywhere: at each line of the store within each kind of call."""

from pathlib import Path

import pytest

from tests.crash.forks import make, program, stored

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

AT_EACH_LINE = """
from collections import Counter
from taskflow.broker import Finish
from taskflow.errors import TaskflowError
import taskflow.stores.sqlite as store

HERE = os.path.dirname(store.__file__)

def fork():
    pid = os.fork()
    if not pid:
        if uses:
            try:
                send("child")
            except TaskflowError:  # it is a fork of a process that was in the midst of something
                pass
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def struck(call, left):
    def line(frame, event, argument):
        nonlocal left
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(None)
                fork()
        return line

    def enter(frame, event, argument):
        return line if frame.f_code.co_filename.startswith(HERE) else None

    sys.settrace(enter)
    try:
        answer = call()
    except TaskflowError as error:
        answer = error
    finally:
        sys.settrace(None)
    return left <= 0, answer

def held():
    return Counter(one.id for one in broker.peek("work", 1_000_000) if one.id != "child")

def sends(at):
    before, ids = held(), [f"{at}-first", f"{at}-second"]
    hit, answer = struck(lambda: broker.send("work", [Message(id, "x") for id in ids]), at)
    assert held() - before == Counter([] if isinstance(answer, Exception) else ids), (at, answer)
    return hit

def publishes(at):
    before = held()
    hit, answer = struck(lambda: publish("made", {}, broker=broker), at)
    new = [] if isinstance(answer, Exception) else [answer]
    assert held() - before == Counter(new), (at, answer)
    return hit

def receives(at):
    broker.purge("work")
    send("due")
    hit, answer = struck(lambda: broker.receive("work"), at)
    assert held() == Counter(["due"]), (at, answer)
    assert isinstance(answer, Exception) or [one.id for one in answer] == ["due"], (at, answer)
    return hit

def deletes(at):
    broker.purge("work")
    send("due")
    (one,) = broker.receive("work", limit=10)
    hit, answer = struck(lambda: broker.delete([Finish(one)]), at)
    is_gone = answer == [True]
    assert is_gone or isinstance(answer, Exception), (at, answer)
    assert held() == Counter([] if is_gone else ["due"]), (at, answer)
    return hit

for _ in range(3):
    publish("made", {}, broker=broker)  # goes the plain way from now on
for verb in (deletes, receives, publishes, sends):
    at = 1
    while verb(at):
        at += step
    assert at > 40  # that many lines are in each
print(*held())
"""


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("uses", [False, True])
@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_call_within_which_it_forks_is_done_or_refused(
    tmp_path: Path, durability: str, uses: bool, step: int
) -> None:
    """By an error of ours; and the child may use the broker, or is told that it may not."""
    address = make(f"sqlite:///{tmp_path}/broker.db?durability={durability}")
    ids = program(f"uses, step = {uses}, {step}\n{AT_EACH_LINE}", address).split()
    assert len(ids) == len(set(ids))
    assert sorted(ids) == [id for id in stored(address) if id != "child"]
