"""A program that forks workers of chords, so that a worker costs no start of Python.

`nursery.py ADDRESS FILE`, then a line for each worker: after how many seconds it is killed, or
`end` to let it come to its end. Each is answered by a line when it is gone.
"""

import os
import signal
import sys
import threading

from taskflow import Context, Pool, Registry, SystemClock, Worker, open_broker, task

MEMBERS = 100


class Chords:
    """The tasks of a chord. With a file, each run says there that it has begun."""

    def __init__(self, file: str | None = None) -> None:
        self.registry = Registry()
        said = None if file is None else os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def say(ctx: Context) -> None:
            if said is not None:
                os.write(said, f"{ctx.event.id} {ctx.attempt}\n".encode())

        @task(registry=self.registry, name="member", retries=50, backoff=0)
        def member(ctx: Context, number: int) -> int:
            say(ctx)
            return number

        @task(registry=self.registry, name="body", retries=50, backoff=0)
        def body(ctx: Context, values: list[int]) -> int:
            say(ctx)
            assert values == list(range(MEMBERS))
            return sum(values)

        self.member, self.body = member, body


def work(address: str, file: str) -> None:
    """One worker, until nothing is due."""
    broker = open_broker(address)
    worker = Worker(broker, registry=Chords(file).registry)
    Pool(worker, concurrency=4, burst=True).run()
    broker.close()


def kill_after(pid: int, seconds: float) -> None:
    """Nobody has waited for the process, so the number is still its own."""
    pause = threading.Condition()
    with pause:
        SystemClock().wait(pause, seconds)
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            work(*sys.argv[1:3])
            os._exit(0)
        if line != "end\n":
            kill_after(pid, float(line))
        os.waitpid(pid, 0)
        print("gone", flush=True)
