"""Reads settings from environment variables and refuses wrong ones by name."""

import math
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from taskflow.errors import ConfigError


class Environment:
    """Environment variables, read with a type.

    Every reader takes the variable's name and its default, treats an empty value as not set, and
    raises ConfigError naming the variable and what is allowed.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str) -> str:
        """Any text."""
        return self._values.get(name, "").strip() or default

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both allowed."""
        text = self.text(name, str(default))
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ConfigError(f"{name}={text!r}: a whole number from {low} to {high} is allowed")
        return number

    def seconds(self, name: str, default: float, *, low: float, high: float) -> float:
        """A duration in seconds from `low` to `high`, both allowed."""
        text = self.text(name, str(default))
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise ConfigError(f"{name}={text!r}: {low:g} to {high:g} seconds are allowed")
        return number

    def switch(self, name: str, default: bool) -> bool:
        """`on` or `off`."""
        text = self.text(name, "on" if default else "off")
        if text not in ("on", "off"):
            raise ConfigError(f"{name}={text!r}: on or off is allowed")
        return text == "on"

    def port(self, name: str, default: int) -> int:
        """A TCP port; 0 lets the system choose a free one."""
        return self.integer(name, default, low=0, high=65535)

    def address(self, name: str, default: str) -> str:
        """`host:port`."""
        text = self.text(name, default)
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ConfigError(f"{name}={text!r}: host:port is allowed, such as {default}")
        return text

    def path(self, name: str, default: str) -> Path:
        """A file or folder; relative ones start at the working folder."""
        return Path(self.text(name, default))

    def database(self, name: str, default: str, *, schemes: str = "sqlite postgresql") -> str:
        """A database URL whose scheme is one of `schemes`."""
        text = self.text(name, default)
        allowed = " or ".join(f"{scheme}://..." for scheme in schemes.split())
        try:
            backend = make_url(text).get_backend_name()
        except ArgumentError:
            backend = ""
        if backend not in schemes.split():
            # The value may hold a password: name the variable only.
            raise ConfigError(f"{name}: not a database address; {allowed} is allowed")
        return text
