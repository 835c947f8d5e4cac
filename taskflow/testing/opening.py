"""Brokers and servers for a test."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from taskflow.broker import Broker
from taskflow.clock import Clock
from taskflow.config import open_broker
from taskflow.testing.manual_clock import REAL_LIMIT, ManualClock

if TYPE_CHECKING:
    from taskflow.server.serving import WireServer


def memory_broker(*, clock: Clock | None = None, seed: int = 0) -> Broker:
    """A broker in memory, on a ManualClock by default, with a seeded random: fully repeatable."""
    return open_broker("memory://", clock=clock or ManualClock(), random=random.Random(seed))


@contextmanager
def wire_server(broker: Broker, **options: Any) -> Iterator["WireServer"]:
    """Serve a broker as SQS and SNS on a free port of this machine; `.url` is the endpoint.

    `options` are those of `taskflow.server.server_options.ServerOptions`; `allow_reset` is on.
    Needs the extra `server`. The server has ended, and the broker is open, when the block ends.
    """
    from taskflow.dashboard.pages import pages
    from taskflow.server.server_options import ServerOptions
    from taskflow.server.serving import WireServer

    given = ServerOptions(**{"port": 0, "allow_reset": True} | options)
    server = WireServer(broker, given, pages)
    thread = threading.Thread(target=server.run, name="taskflow-test-server")
    thread.start()
    try:
        if not server.wait_until_ready(REAL_LIMIT):
            raise TimeoutError("the server did not start; see its log")
        yield server
    finally:
        server.stop()
        thread.join()
