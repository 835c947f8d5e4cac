"""Where the URLs that subscriptions name may lead."""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NOWHERE = {4: "203.0.113.7", 6: "2001:db8::7"}
"""Addresses that are kept for documents: no machine has them."""
_METADATA = [
    ip_network(one)
    for one in (
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google Cloud
        "fd00:42::42",  # Scaleway
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
    )
]
"""Where machines of a cloud are told their keys, beside the link-local 169.254.169.254. Some are
addresses of private networks, which subscriptions may have."""
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
Resolve = Callable[[str, int], Sequence[str]]


class TargetRefused(OSError):
    """A URL leads to an address that subscriptions may not have."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order the system prefers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def find_target(host: str, port: int, local: bool, resolve: Resolve = resolve) -> str:
    """The address to call for a host. Raises OSError when it has none, TargetRefused when it is one
    of this machine, its links or what tells it its keys, and `local` is False: the name may lead
    there only since it was subscribed."""
    addresses = resolve(host, port)
    allowed = [one for one in addresses if local or not _is_local(ip_address(one.split("%")[0]))]
    if not allowed:
        raise TargetRefused(f"{host} leads to {addresses[0]}, which subscriptions may not call")
    return allowed[0]


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if any(_is_local(one) for one in carried):
            return True
        if carried and (address.ipv4_mapped or address in _NAT64):  # it is that one
            return False
    return bool(
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or any(address in network for network in _METADATA)
        or _is_own(address)
    )


def _carried(address: IPv6Address) -> list[IPv4Address]:
    """The addresses that this one is a form of, for whatever translates or tunnels it on the way:
    mapped, NAT64, 6to4, Teredo (server and client), ISATAP."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    number = int(address)
    if address in _NAT64 or number >> 32 & 0xFFFFFFFF in _ISATAP:
        found.append(IPv4Address(number & 0xFFFFFFFF))
    return [one for one in found if one is not None]


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
