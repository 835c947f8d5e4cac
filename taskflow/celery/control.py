"""`app.control`: of Celery's remote control, what there is."""

from collections.abc import Iterable
from typing import Any

from taskflow.celery.async_result import AsyncResult
from taskflow.celery.call_words import refused_attribute


class Control:
    """`revoke`; all else is refused by name."""

    def revoke(self, ids: str | Iterable[str], terminate: bool = False, **options: Any) -> None:
        """Revoke calls by their ids, as `AsyncResult.revoke` does."""
        for id in [ids] if isinstance(ids, str) else ids:
            AsyncResult(id).revoke(terminate=terminate, **options)

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute("control", name, _Everything())


class _Everything(dict[str, str]):
    """Whatever it is called, it is remote control."""

    def get(self, name: str, default: Any = None) -> Any:
        return default if name.startswith("__") else "control"
