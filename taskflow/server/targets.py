"""The URLs that subscriptions name: where they may be, and how they are shown."""

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

_PASSWORD = re.compile(r"(://[^/?#@:]*):[^/?#@]*@")
Resolve = Callable[[str, int], Sequence[str]]


class TargetRefused(OSError):
    """A URL leads to an address that subscriptions may not have."""


def shown_endpoint(endpoint: str) -> str:
    """An endpoint without its password, as SNS shows it."""
    return _PASSWORD.sub(r"\1:****@", endpoint)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order the system prefers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def find_target(host: str, port: int, local: bool, resolve: Resolve = resolve) -> str:
    """The address to call for a host. Raises OSError when it has none, TargetRefused when it is one
    of this machine or its links and `local` is False: the name may lead there only since it was
    subscribed."""
    addresses = resolve(host, port)
    allowed = [one for one in addresses if local or not _is_local(ip_address(one.split("%")[0]))]
    if not allowed:
        raise TargetRefused(f"{host} leads to {addresses[0]}, which subscriptions may not call")
    return allowed[0]


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    found = getattr(address, "ipv4_mapped", None) or address
    return bool(
        found.is_loopback
        or found.is_link_local
        or found.is_unspecified
        or found.is_multicast
        or found.is_reserved
    )
