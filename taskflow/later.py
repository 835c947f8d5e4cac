"""Modules that are imported when something of them is first used."""

from importlib import import_module
from typing import Any


class Later:
    """Stands at the top of a file for a module that few processes need: each that starts would pay
    for its import, in time and memory. Thread-safe, as imports are.

        if TYPE_CHECKING:
            import asyncio
        else:
            asyncio = Later("asyncio")

    Each use looks the module up, a few tenths of a microsecond: not for what every message needs.
    Raises ImportError where it is used.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python asks of any object, such as to copy it
            raise AttributeError(name)
        return getattr(import_module(self._name), name)
