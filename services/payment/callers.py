"""Who may act for customers: charge what they have on file, see it, change it."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from services.keys import bears_one


class CustomerRights:
    """Callers on the loopback interface may, and those that send one of the keys.

    `keys` by name; a caller sends one as `authorization: Bearer KEY`.
    """

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self._keys = dict(keys or {})

    def may_act(self, peer: str, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether a caller may, by gRPC's words for its address and what it sent."""
        if is_loopback(peer):
            return True
        for name, value in metadata:
            if name.lower() == "authorization" and isinstance(value, str):
                return bears_one(value, self._keys)
        return False


def is_loopback(peer: str) -> bool:
    """Whether gRPC's `ipv4:127.0.0.1:50000`, `ipv6:[::1]:50000`, `unix:…` is this machine."""
    kind, _, rest = unquote(peer).partition(":")
    if kind == "unix":
        return True
    found = re.fullmatch(r"\[?([0-9a-fA-F:.]+?)\]?(?::\d+)?", rest)
    if kind not in ("ipv4", "ipv6") or found is None:
        return False
    try:
        address = ipaddress.ip_address(found[1])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
