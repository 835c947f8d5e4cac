"""Keys by which services know callers from other machines."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path

from taskflow.errors import ConfigError


def read_keys(path: Path | None, variable: str) -> dict[str, str]:
    """Keys from a file of lines `name: key`, which only its owner may read.

    Raises ConfigError naming `variable`, never a key.
    """
    if path is None:
        return {}
    where = f"{variable}={str(path)!r}"
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{where}: others may read it; chmod 600")
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not in UTF-8") from None
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, key = (part.strip() for part in line.partition(":"))
        if not (name and colon and re.fullmatch(r"[!-~]{16,}", key)):
            raise ConfigError(
                f"{where}, line {number}: `name: key` is wanted, the key 16 printable characters "
                "at least"
            )
        if name in keys:
            raise ConfigError(
                f"{where}, line {number}: there is a key named {name!r} already; while one takes "
                f"the place of another call it {name}-2, say"
            )
        keys[name] = key
    if not keys:
        raise ConfigError(f"{where}: it holds no key, and would let nobody in")
    return keys


def bears_one(authorization: str, keys: Mapping[str, str]) -> bool:
    """Whether an Authorization header is `Bearer` and one of the keys."""
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    given = sent.strip().encode("utf-8", "replace")
    found = [hmac.compare_digest(given, key.encode()) for key in keys.values()]
    return any(found)


def is_this_machine(host: str) -> bool:
    """Whether who listens on `host` is heard on the loopback interface alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
