"""The dashboard alone: uvicorn around it, on a port of its own."""

from pathlib import Path

import uvicorn

from taskflow.broker import Broker
from taskflow.dashboard.asgi_face import AsgiFace
from taskflow.dashboard.keyed import roles_of
from taskflow.dashboard.site import Site
from taskflow.errors import ConfigError
from taskflow.server.connection import connections_of
from taskflow.server.keys import Keys
from taskflow.server.listening import bind
from taskflow.server.serving import most_connections

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST = 500
"""Connections at once: a browser has six. Others are closed unheard."""
GRACE = 5  # seconds that pages which are being made have after SIGTERM


class DashboardServer:
    """Holds so many connections, and limits what they send as `taskflow serve` does.

    Binds its port at once (0: any, `port` tells which), serves in `run`. With access keys each
    request needs one; without, it lets in who sits at this machine, to do all, and listens nowhere
    else. Raises ConfigError for another host without keys, and for a port that is taken."""

    def __init__(
        self,
        broker: Broker,
        host: str = "127.0.0.1",
        port: int = 9325,
        keys: Path | None = None,
        *,
        prefix: str = "",
        hidden: tuple[str, ...] = (),
        name: str = "",
        address: str = "",
    ) -> None:
        known = Keys.load(keys) if keys is not None else None
        if host not in LOOPBACK and not (known is not None and known.configured):
            raise ConfigError(
                f"--host {host} lets other machines in, which needs access keys: "
                "`taskflow keys add NAME` makes one"
            )
        site = Site(broker, roles=roles_of(known), hidden=hidden, name=name, address=address)
        self._socket = bind(host, port, False)
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}{prefix}/"
        connections = connections_of(None)
        connections.most = min(MOST, most_connections())
        self._server = uvicorn.Server(
            uvicorn.Config(
                AsgiFace(site, prefix),
                loop="asyncio",
                http=connections,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # anybody on this machine could say them
                timeout_graceful_shutdown=GRACE,
            )
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. The broker stays open."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Begin to stop. Thread-safe."""
        self._server.should_exit = True
