"""The wire server put together: broker, actions, pages, background loops, uvicorn around them."""

import asyncio
import logging
import resource
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

import uvicorn

from taskflow.broker import Broker
from taskflow.errors import ConfigError
from taskflow.message import new_id
from taskflow.server.access import Access
from taskflow.server.app import App, Page
from taskflow.server.backend import Backend
from taskflow.server.certificate import certificate_page, ensure_identity
from taskflow.server.chores import Chores
from taskflow.server.connection import Connection, connections_of
from taskflow.server.deliveries import Deliveries
from taskflow.server.fast_way import make_fast_way
from taskflow.server.keys import Keys
from taskflow.server.listening import bind
from taskflow.server.listening_server import ListeningServer
from taskflow.server.page_access import AllowsPage, PageAccess
from taskflow.server.server_options import ServerOptions, check_options
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting

log = logging.getLogger("taskflow.server")

THREADS = 16  # broker verbs at once; those that wait for the disk share one fsync
KEEP_ALIVE = 75  # seconds: longer than clients keep idle connections in their pools
WANTED_DESCRIPTORS = 65_536
RESERVED_DESCRIPTORS = 128
STALLED_AFTER = 60.0  # seconds that the event loop may not turn
GRACE = 9  # seconds that running requests have after SIGTERM


class MakePages(Protocol):
    """What is served beside the actions, such as the pages of `taskflow.dashboard`."""

    def __call__(
        self, backend: Backend, allows: AllowsPage, *, allow_reset: bool
    ) -> Mapping[tuple[str, str], Page]:
        """Pages by (method, path). `allows` is asked who may see or change what."""
        ...


def no_pages(
    backend: Backend, allows: AllowsPage, *, allow_reset: bool
) -> Mapping[tuple[str, str], Page]:
    """None."""
    return {}


class WireServer:
    """An SNS/SQS server over a broker. Binds its port at once, serves in `run`.

    Raises ConfigError for options that cannot be, and for a port that is taken. Port 0 is any
    free one; `port` and `url` then tell which. `make_pages`: what else is served.
    """

    def __init__(
        self,
        broker: Broker,
        options: ServerOptions | None = None,
        make_pages: MakePages = no_pages,
    ) -> None:
        options = options or ServerOptions()
        check_options(options)
        self._broker = broker
        self._socket = bind(options.host, options.port, options.shared)
        self.port: int = self._socket.getsockname()[1]
        self.url = options.url_at(self.port)
        self._waiting = Waiting(broker)
        self._threads = ThreadPoolExecutor(THREADS, "taskflow-server")
        self._loops: list[asyncio.Task[None]] = []
        self._ready = threading.Event()
        self._clock = broker.clock
        self._turned_at = broker.clock.elapsed()
        self.on_stop: Callable[[], None] = lambda: None
        """Called when a stop begins, perhaps from a signal's handler."""
        backend = Backend(broker, self._waiting, self._threads, options.account, options.region)
        identity = ensure_identity(broker, options.account, options.region, self.url, broker.clock)
        self._moves = MoveActions(backend)
        self._chores = Chores(backend)
        keys = Keys.load(options.keys) if options.keys else None
        access = Access(backend, keys, options.url)
        self._deliveries = Deliveries(
            backend, local_targets=lambda: options.local_targets or access.open
        )
        page_access = PageAccess(keys, options.url)
        actions = {
            **sqs_actions(backend, self._moves),
            **Sns(backend).actions(),
            **Sts().actions(),
        }
        app = App(
            access.guard(actions),
            access.authenticate,
            clock=broker.clock,
            new_request_id=lambda: new_id(broker.clock.now(), broker.random),
            region=options.region,
            scope_of=access.scope_of,
            pages={
                **make_pages(backend, page_access.allows, allow_reset=options.allow_reset),
                **certificate_page(identity),
            },
            public_url=options.url,
            startup=self._start,
            shutdown=self._end,
            admit=access.admit,
            admit_to_pages=page_access.admit,
            threads=self._threads,
        )
        Connection.most = most_connections()
        self._server = ListeningServer(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=connections_of(make_fast_way(app, backend, lambda: access.open)),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # anybody on this machine could say them
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
                backlog=1024,
                ssl_certfile=options.certificate,
                ssl_keyfile=options.certificate_key,
            ),
            self._listens,
            self._stops,
        )

    def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT. Parked polls are answered, running requests
        finished. The broker stays open."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._threads.shutdown()
        if not self._ready.is_set():
            raise ConfigError("the server could not start; see the log above")

    def stop(self) -> None:
        """Begin to stop. Thread-safe."""
        self._server.handle_exit(signal.SIGTERM, None)

    def problems(self) -> tuple[list[str], list[str]]:
        """Why the server is not alive, and why it is not ready; empty when it is. Thread-safe. Each
        call asks the event loop to turn, and sees whether it did since the last ones."""
        loop, dead = self._server.loop, []
        if not self._ready.is_set() or loop is None:
            return [], ["starting"]
        silent = self._clock.elapsed() - self._turned_at
        if silent > STALLED_AFTER:
            dead = [f"the event loop has not turned for {silent:.0f} s"]
        with suppress(RuntimeError):  # it is closed: the server has ended
            loop.call_soon_threadsafe(self._turn)
        return dead, [*dead, "stopping"] if self._server.should_exit else dead

    def _turn(self) -> None:
        self._turned_at = self._clock.elapsed()

    def _stops(self) -> None:
        self._waiting.close()
        self.on_stop()

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait, in another thread, until requests are answered."""
        return self._ready.wait(timeout)

    async def _start(self) -> None:
        self._server.loop = asyncio.get_running_loop()
        self._waiting.start()
        for work in (self._moves.run(), self._deliveries.run(), self._chores.run()):
            self._loops.append(asyncio.create_task(_kept_up(work)))

    def _listens(self) -> None:
        self._ready.set()
        log.info("serving SQS and SNS at %s", self.url)

    async def _end(self) -> None:
        self._waiting.close()
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)


async def _kept_up(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("a background loop of the server ended")


def most_connections() -> int:
    """How many connections are held at once: as many as this process may have descriptors, having
    asked for more, less what the broker's files and posts need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    limit = WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return max(16, limit - min(RESERVED_DESCRIPTORS, limit // 2))
