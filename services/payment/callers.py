"""Who may act for customers: charge what they have on file, see it, change it."""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from taskflow.errors import ConfigError


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
                scheme, _, sent = value.partition(" ")
                if scheme.lower() == "bearer":
                    return any(
                        hmac.compare_digest(sent.strip().encode(), key.encode())
                        for key in self._keys.values()
                    )
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


def read_keys(path: Path | None) -> dict[str, str]:
    """Keys from a file of lines `name: key`, which only its owner may read.

    Raises ConfigError naming PAYMENT_KEYS, never a key.
    """
    if path is None:
        return {}
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"PAYMENT_KEYS={str(path)!r}: others may read it; chmod 600")
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"PAYMENT_KEYS={str(path)!r}: {error.strerror}") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        if not (name and colon and re.fullmatch(r"[!-~]{16,}", key)):
            raise ConfigError(
                f"PAYMENT_KEYS={str(path)!r}, line {number}: `name: key` is wanted, the key 16 "
                "printable characters at least"
            )
        keys[name] = key
    return keys
