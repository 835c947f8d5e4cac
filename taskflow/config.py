"""Settings: a command-line flag, else a TASKFLOW_ variable, else `[taskflow]` in setup.cfg."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from taskflow.broker import Broker
from taskflow.brokers import DEFAULT_ADDRESS, open_address
from taskflow.clock import Clock
from taskflow.errors import ConfigError
from taskflow.later import Later
from taskflow.text import without_secrets

if TYPE_CHECKING:
    import configparser
else:
    configparser = Later("configparser")

FILE = "setup.cfg"
SECTION = "taskflow"
_named: str | None = None  # by the program itself
_refusals: list[str] = []  # why no broker may be opened now
KNOWN = (
    "broker",
    "modules",
    "concurrency",
    "processes",
    "grace",
    "log_level",
    "log_format",
    "app",
    "release",
    "keys",
    "task_queue",
    "task_retries",
    "task_backoff",
    "task_timeout",
    "task_result",
    "task_result_failed",
    "task_idempotent",
    "task_window",
    "task_visibility_timeout",
    "task_concurrency",
    "task_rate",
)
_Stamp = tuple[int, int, int, int]
_read: tuple[_Stamp, dict[str, str]] | None = None  # the file as it was last read


def setting(name: str) -> str | None:
    """The value of a setting, from the environment or ./setup.cfg; None when it is in neither.

    Raises ConfigError when the file's section holds a name that is not in KNOWN.
    """
    return os.environ.get(_variable(name)) or file_settings().get(name)


def settings_under(start: str) -> dict[str, str]:
    """The settings that are there, of those whose names begin so. Raises as `setting` does."""
    in_file = file_settings()
    found = {
        name: os.environ.get(_variable(name)) or in_file.get(name)
        for name in KNOWN
        if name.startswith(start)
    }
    return {name: text for name, text in found.items() if text}


def place_of(name: str) -> str:
    """Where a setting was found, for people who are to mend it."""
    variable = _variable(name)
    return variable if os.environ.get(variable) else f"{FILE} [{SECTION}] {name}"


def _variable(name: str) -> str:
    return f"TASKFLOW_{name.upper()}"


def file_settings() -> Mapping[str, str]:
    """The `[taskflow]` section of ./setup.cfg; read again when the file has changed, since each
    task that is defined asks."""
    global _read
    try:
        found = Path(FILE).stat()
    except OSError:
        return {}
    stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
    if _read is None or _read[0] != stamp:
        _read = (stamp, _read_file())
    return _read[1]


def _read_file() -> dict[str, str]:
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

    Addresses: `memory://`, `sqlite:///broker.db[?durability=power|process]`,
    `postgresql://user@host/database`, `aws://REGION` (docs/guides).
    `create=False` refuses a broker file that does not exist, and tables that do not. Raises
    ConfigError for an address that is none, and where brokers are refused, BrokerFileError for a
    file that cannot be used, BrokerUnavailable for a server that cannot.
    """
    if _refusals:
        raise ConfigError(f"no broker can be opened: {_refusals[-1]}")
    return open_address(address_of(address), create=create, clock=clock, random=random)


@contextmanager
def refusing_brokers(why: str) -> Iterator[None]:
    """Let nobody open a broker inside the block, whatever settings say."""
    _refusals.append(why)
    try:
        yield
    finally:
        _refusals.remove(why)


def shown_address(address: str | None = None) -> str:
    """The address of a broker for people: a file by its whole path, no user and no password."""
    found = address_of(address)
    if found.startswith("sqlite:"):
        path = Path(unquote(urlsplit(found).path)[1:]).absolute()
        return f"sqlite:///{path}"
    return without_secrets(found)


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
