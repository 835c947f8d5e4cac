"""Settings: a command-line flag, else a TASKFLOW_ variable, else `[taskflow]` in setup.cfg."""

import configparser
import os
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

from taskflow.broker import Broker
from taskflow.brokers import DEFAULT_ADDRESS, open_address
from taskflow.clock import Clock
from taskflow.errors import ConfigError

FILE = "setup.cfg"
SECTION = "taskflow"
_named: str | None = None  # by the program itself
KNOWN = (
    "broker",
    "modules",
    "concurrency",
    "processes",
    "grace",
    "log_level",
    "app",
    "release",
)


def setting(name: str) -> str | None:
    """The value of a setting, from the environment or ./setup.cfg; None when it is in neither.

    Raises ConfigError when the file's section holds a name that is not in KNOWN.
    """
    from_environment = os.environ.get(f"TASKFLOW_{name.upper()}")
    return from_environment or file_settings().get(name)


def file_settings() -> dict[str, str]:
    """The `[taskflow]` section of ./setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path(FILE), encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read: {error}") from error
    if not parser.has_section(SECTION):
        return {}
    found = dict(parser.items(SECTION))
    for name in found:
        if name not in KNOWN:
            raise ConfigError(
                f"{FILE} [{SECTION}]: unknown setting {name!r}; known: {', '.join(KNOWN)}"
            )
    return found


def open_broker(
    address: str | None = None,
    *,
    create: bool = True,
    clock: Clock | None = None,
    random: Random | None = None,
) -> Broker:
    """Open the broker at `address`, by default the one `TASKFLOW_BROKER` or setup.cfg names.

    Addresses: `memory://`, `sqlite:///broker.db[?durability=power|process]`, `aws://REGION`
    (docs/guides).
    `create=False` refuses a broker file that does not exist. Raises ConfigError for an address
    that is none, BrokerFileError for a file that cannot be used.
    """
    return open_address(address_of(address), create=create, clock=clock, random=random)


def shown_address(address: str | None = None) -> str:
    """The address of a broker for people: a file by its whole path, no user and no password."""
    parts = urlsplit(address_of(address))
    if parts.scheme == "sqlite":
        path = Path(unquote(parts.path)[1:]).absolute()
        return f"sqlite:///{path}"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def address_of(address: str | None = None) -> str:
    """The address of a broker: the one given, else the one that is set, else the one that the
    program named, else the default."""
    return address or setting("broker") or _named or DEFAULT_ADDRESS


def name_broker(address: str | None) -> None:
    """Let a program say which broker it is for, where no setting does; None takes it back. Raises
    ConfigError when it named another one before: a process has one."""
    global _named
    if address is not None and _named not in (None, address):
        raise ConfigError(
            f"{shown_address(address)} is not {shown_address(_named)}, which this program named "
            "before: a process has one broker"
        )
    _named = address
