"""The wire server put together: broker, actions, pages, background loops, uvicorn around them."""

import asyncio
import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import uvicorn

from taskflow.broker import Broker
from taskflow.errors import ConfigError
from taskflow.message import new_id
from taskflow.server.access import Access, AllowsPage
from taskflow.server.app import App, Page
from taskflow.server.backend import Backend
from taskflow.server.certificate import certificate_page, ensure_identity
from taskflow.server.chores import Chores
from taskflow.server.connection import Connection, connections_of
from taskflow.server.deliveries import Deliveries
from taskflow.server.fast_way import make_fast_way
from taskflow.server.keys import Keys, keys_file
from taskflow.server.listening import bind
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting
from taskflow.wire.names import is_account, is_region

log = logging.getLogger("taskflow.server")

LOOPBACK = ("127.0.0.1", "::1", "localhost")
THREADS = 16  # broker verbs at once; those that wait for the disk share one fsync
KEEP_ALIVE = 75  # seconds: longer than clients keep idle connections in their pools
WANTED_DESCRIPTORS = 65_536
RESERVED_DESCRIPTORS = 128
STALLED_AFTER = 60.0  # seconds that the event loop may not turn
GRACE = 9  # seconds that running requests have after SIGTERM


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What `taskflow serve` is told. `keys` is the file of access keys; None for a broker that
    can have none. `url` is what clients are told to use (default: the host they used)."""

    host: str = "127.0.0.1"
    port: int = 9324
    account: str = "000000000000"
    region: str = "us-east-1"
    url: str | None = None
    keys: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    allow_reset: bool = False
    local_targets: bool = False
    """With keys: whether subscriptions may name URLs of this machine and its links."""
    shared: bool = False
    """Whether other processes of this server listen on the port too (`listening.reserve`)."""

    def url_at(self, port: int) -> str:
        """What clients are told to use, on this port."""
        scheme = "https" if self.certificate else "http"
        shown = f"[{self.host}]" if ":" in self.host else self.host
        if self.host in ("0.0.0.0", "::"):
            shown = "localhost"
        return self.url or f"{scheme}://{shown}:{port}"


def find_keys(address: str) -> Path | None:
    """Where the access keys of the broker at an address lie, if nobody says; None for one that has
    no file to lie beside: in memory, at a database server."""
    scheme = address.partition(":")[0]
    return None if scheme in ("memory", "postgresql", "postgres") else keys_file(address)


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
        options: ServerOptions = ServerOptions(),
        make_pages: MakePages = no_pages,
    ) -> None:
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
        self._deliveries = Deliveries(
            backend, local_targets=options.local_targets or not (keys and keys.configured)
        )
        access = Access(backend, keys, options.url)
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
                **make_pages(backend, access.allows_page, allow_reset=options.allow_reset),
                **certificate_page(identity),
            },
            public_url=options.url,
            startup=self._start,
            shutdown=self._end,
            admit=access.admit,
            threads=self._threads,
        )
        Connection.most = most_connections()
        self._server = _Server(
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


class _Server(uvicorn.Server):
    """Says when it listens, and lets parked polls answer as soon as it is told to stop: uvicorn
    waits for requests before it ends the application."""

    def __init__(
        self,
        config: uvicorn.Config,
        listens: Callable[[], None],
        close_polls: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listens = listens
        self._close_polls = close_polls
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listens()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second SIGINT does not wait for running requests. (uvicorn's own would send itself
        the signal again in the end: stopping on SIGTERM is no failure.)"""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._close_polls)


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


def check_options(options: ServerOptions) -> None:
    """Raise ConfigError for options that cannot be, saying what would do."""
    if not is_account(options.account):
        raise ConfigError(f"account is {options.account!r}; twelve digits")
    if not is_region(options.region):
        raise ConfigError(f"region is {options.region!r}; example: us-east-1")
    if (options.certificate is None) != (options.certificate_key is None):
        raise ConfigError("TLS needs both: --certificate and --certificate-key")
    has_keys = options.keys is not None and Keys.load(options.keys).configured
    if options.host not in LOOPBACK and not has_keys:
        raise ConfigError(
            f"--host {options.host} lets other machines in, which needs access keys: "
            "`taskflow keys add NAME` makes one"
        )
