"""Where the URLs that subscriptions name may lead."""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

_NOWHERE = {4: "203.0.113.7", 6: "2001:db8::7"}
"""Addresses that are kept for documents: no machine has them."""
Resolve = Callable[[str, int], Sequence[str]]


class TargetRefused(OSError):
    """A URL leads to an address that subscriptions may not have."""


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
        or _is_own(found)
    )


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether this machine has the address: what listens on all of its addresses is reached there
    too, behind what keeps others out."""
    if not _may_bind(str(address), address.version):
        return False
    if not _may_bind(_NOWHERE[address.version], address.version):
        return True
    with _socket(address.version) as one:  # here anything may be bound (ip_nonlocal_bind)
        one.connect((str(address), 9))
        return bool(one.getsockname()[0] == str(address))


def _may_bind(address: str, version: int) -> bool:
    with suppress(OSError), _socket(version) as one:
        one.bind((address, 0))
        return True
    return False


def _socket(version: int) -> socket.socket:
    return socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
