"""`app.conf`: settings by Celery's names, each checked when it is set."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

from taskflow.celery.celery_settings import BEFORE_TASKS, GROUPS, SETTINGS, is_allowed
from taskflow.errors import ConfigError, NotPorted

OnSet = Callable[[str, Any], Any]
"""Called with the name and value of a mapped setting; answers the value to keep."""


_NONE_SAYS = ("result_expires",)
"""None is a value of theirs, not the default."""


class Conf:
    """Read and set as attributes and as items. What tasks read (`task_`, `result_`) is set before
    the first of them. Raises NotPorted for a setting that is refused, ConfigError for an unknown
    one."""

    def __init__(self, on_set: OnSet) -> None:
        self.__dict__.update(_on_set=on_set, _values={}, sealed=False)

    def update(self, *given: Mapping[str, Any], **named: Any) -> None:
        """Set several."""
        for one in (*given, named):
            for name, value in one.items():
                self[name] = value

    def read_object(self, source: Any, namespace: str | None = None) -> None:
        """Set all that a module, an object or a dict holds; text is the name of a module, or
        `module:attribute`. With a namespace, what begins with it: `CELERY_TIMEZONE`."""
        if isinstance(source, str):
            module, _, attribute = source.partition(":")
            source = import_module(module)
            source = getattr(source, attribute) if attribute else source
        if isinstance(source, Mapping):
            found = dict(source)
        else:
            found = {name: getattr(source, name) for name in dir(source)}
        if namespace:
            start = f"{namespace}_"
            found = {
                name.removeprefix(start).lower(): value
                for name, value in found.items()
                if name.startswith(start)
            }
        elif not isinstance(source, Mapping):
            found = {name: value for name, value in found.items() if _is_setting(name, value)}
        self.update(found)

    def __getitem__(self, name: str) -> Any:
        setting = SETTINGS.get(name)
        if setting is None:
            raise _unknown(name)
        value = self._values.get(name)
        is_set = value is not None or (name in self._values and name in _NONE_SAYS)
        return value if is_set else setting.default

    def __setitem__(self, name: str, value: Any) -> None:
        setting = SETTINGS.get(name)
        if setting is None:
            raise _unknown(name)
        if setting.kind == "always":
            if not is_allowed(setting, value):
                raise NotPorted(f"taskflow.celery has no {name}={value!r}: {setting.means}")
        elif setting.kind == "refused":
            if value is not None:
                raise NotPorted(f"taskflow.celery has no setting {name}: {setting.means}")
            return
        else:
            if self.sealed and name in BEFORE_TASKS and value != self[name]:
                raise ConfigError(f"set {name} before the first task is defined: it is read there")
            value = self._on_set(name, value)
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "sealed":
            self.__dict__[name] = value
        else:
            self[name] = value

    def __contains__(self, name: object) -> bool:
        return name in SETTINGS

    def __iter__(self) -> Iterator[str]:
        """The names of what was set."""
        return iter(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, or `default` for one that was not set."""
        value = self[name] if name in SETTINGS else None
        return default if value is None else value


def _is_setting(name: str, value: Any) -> bool:
    """Whether an attribute of a module is meant as one: known, or named like one."""
    if name.startswith("_") or isinstance(value, ModuleType | type):
        return False
    return name in SETTINGS or (name.startswith(GROUPS) and not callable(value))


def _unknown(name: str) -> ConfigError:
    near = get_close_matches(name.lower(), SETTINGS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return ConfigError(f"there is no setting {name!r}{hint}; names are those of Celery 5.7")
