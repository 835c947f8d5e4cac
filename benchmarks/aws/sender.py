"""What every sender does, in its own process: warm up, wait for the word, send from threads.

It imports nothing but the standard library: senders run in several environments.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable

THREADS = 16
WARM_UP = 32  # messages: every connection is open, every name is looked up


def tell(number: int) -> None:
    """A handler's no-op: the driver hears the number over a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(str(number).encode(), os.environ["BENCH_HEARD"])


def send_all(send: Callable[[int], object]) -> None:
    """Send WARM_UP numbers below 0, say so, read how many to send, and send 0 to that."""
    _spread(send, range(-WARM_UP, 0))
    print("warm", flush=True)
    count = int(sys.stdin.readline())
    _spread(send, range(count))
    print("sent", flush=True)
    sys.stdin.readline()  # connections stay open until the driver has seen the end


def _spread(send: Callable[[int], object], numbers: range) -> None:
    def work(start: int) -> None:
        for number in numbers[start::THREADS]:
            send(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
