"""The socket that the server listens on: one process's own, or a port that several share."""

import socket

from taskflow.errors import ConfigError


def bind(host: str, port: int, shared: bool = False) -> socket.socket:
    """A socket bound to a port, 0 for any free one; `shared`: to one that `reserve` holds, between
    whose processes the kernel divides new connections. Raises ConfigError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off for sockets that name their protocol: an answer is two writes.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}") from error
    return bound


def reserve(host: str, port: int) -> socket.socket:
    """Hold a port for processes that share it. Nothing is accepted here: it is bound, and does not
    listen. Raises ConfigError as `bind`; of two servers that were to share one port the second
    is refused too."""
    alone = bind(host, port)
    try:
        found: int = alone.getsockname()[1]
    finally:
        alone.close()
    return bind(host, found, shared=True)
