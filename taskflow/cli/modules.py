"""The modules that a command needs: those with handlers, and those of an extra."""

import importlib
import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import taskflow
from taskflow.config import setting
from taskflow.errors import ConfigError
from taskflow.registry import Registry, default_registry


def load_registry(modules: Sequence[str]) -> Registry:
    """Import the modules with handlers, and those that they name, and answer what they subscribed.

    Raises ConfigError naming the module and the line when one does not import.
    """
    names = [*(modules or (setting("modules") or "").replace(",", " ").split())]
    for name in names:  # it grows meanwhile
        if name.endswith(".py") or "/" in name or name.startswith("."):
            dotted = name.removeprefix("./").removesuffix(".py").strip("/.").replace("/", ".")
            raise ConfigError(f"{name!r} is a file; name the module, as import does: {dotted!r}")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigError(f"no module named {name!r} in {Path.cwd()}") from error
            raise _failed(name, error) from error
        except (Exception, SystemExit) as error:
            raise _failed(name, error) from error
        names += [one for one in default_registry.modules if one not in names]
    _keep_logging()
    return default_registry


def _keep_logging() -> None:
    """logging.config.dictConfig switches off the loggers there are, unless it is told not to; a
    worker whose failures nobody sees is worse than one that logs."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "taskflow" and isinstance(logger, logging.Logger):
            logger.disabled = False


def server_module(name: str) -> Any:
    """A module of taskflow that needs the extra `server`. Raises ConfigError without."""
    try:
        return importlib.import_module(f"taskflow.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this needs {error.name}: pip install 'taskflow-events[server]'"
        ) from error


def _failed(name: str, error: BaseException) -> ConfigError:
    ours = str(Path(taskflow.__file__).parent)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not frame.filename.startswith(ours)
    ]
    where = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, SyntaxError):
        where = f"{error.filename}, line {error.lineno}: "
    return ConfigError(f"module {name!r} failed to import: {where}{type(error).__name__}: {error}")
