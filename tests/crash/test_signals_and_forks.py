"""Ctrl-C while a process forks: it comes when that is over, and what rested goes on."""

from pathlib import Path

import pytest

from tests.crash.forks import BESIDE_THREADS, make, program, stored

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

STRUCK = (
    BESIDE_THREADS
    + """
from taskflow import forking

class Struck(forking.Forkable):
    def __init__(self, before, number):
        self.before, self.number = before, number

    def before_fork(self, patience):
        if self.before:
            signal.raise_signal(self.number)
        return True

    def after_fork(self, child):
        if not (self.before or child):
            signal.raise_signal(self.number)

def fork_struck(before, number=signal.SIGINT):
    struck = Struck(before, number)
    forking.tell(struck)
    if (pid := os.fork()) == 0:
        send("child")
        os._exit(0)
    try:
        threading.Event().wait(30)
    except (KeyboardInterrupt, SystemExit) as error:
        print(type(error).__name__, flush=True)
    assert os.waitpid(pid, 0)[1] == 0
    del struck
    begin(send, "parent").join()
"""
)


@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_within_a_fork_comes_behind_it(before: bool, tmp_path: Path) -> None:
    address = make(f"sqlite:///{tmp_path}/broker.db")
    text = f"fork_struck({before})\nassert signal.getsignal(2) is signal.default_int_handler"
    assert program(STRUCK + text, address).split() == ["KeyboardInterrupt"]
    assert stored(address) == ["child", "parent"]


def test_so_does_what_a_handler_of_the_program_raises(tmp_path: Path) -> None:
    address = make(f"sqlite:///{tmp_path}/broker.db")
    text = """
    def leave(number, frame):
        sys.exit()

    signal.signal(signal.SIGTERM, leave)
    fork_struck(True, signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is leave
    fork_struck(False, signal.SIGTERM)
    """.replace("\n    ", "\n")
    assert program(STRUCK + text, address).split() == ["SystemExit"] * 2
    assert len(stored(address)) == 2
