"""Options of `apply_async`, as `Task.options` of taskflow has them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from taskflow.celery.celery_settings import JSON
from taskflow.celery.not_ported import REFUSED, refuse
from taskflow.celery.task_options import keep_seconds, priority_of
from taskflow.errors import NotPorted

if TYPE_CHECKING:
    from taskflow.celery.celery_app import Celery

_REFUSED = {
    "exchange": "exchange",
    "routing_key": "routing_key",
    "compression": "compression",
    "shadow": "shadow",
    "time_limit": "time_limit of a call",
    "soft_time_limit": "time_limit of a call",
    "producer": "producer",
    "publisher": "producer",
    "connection": "producer",
    "stamped_headers": "stamp",
}
_WITHOUT_EFFECT = ("retry", "retry_policy", "add_to_parent", "expires", "serializer")
IN_A_CANVAS = ("queue", "expires", "priority", "headers")


def read_call(app: "Celery", given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, without `link` and `link_error`. Raises NotPorted for what Celery has and this
    has not, TypeError for what nobody knows."""
    if (serializer := given.get("serializer")) not in (None, *JSON):
        raise refuse("serializer", serializer)
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in _REFUSED:
            raise refuse(_REFUSED[name], value)
        if name == "priority":
            found[name] = priority_of(value)
            continue
        if name == "countdown":
            found["delay"] = max(0.0, value)
        elif name == "eta":
            found["at"] = moment(app, value)
        elif name == "task_id":
            found["id"] = value
        elif name == "ignore_result":
            if value:
                found["result"] = None
            elif app.conf.result_backend:
                found["result"] = keep_seconds(app.conf.result_expires)
        elif name in ("queue", "headers"):
            found[name] = getattr(value, "name", value)
        elif name not in _WITHOUT_EFFECT:
            raise TypeError(f"apply_async does not know {name!r}")
    if (expires := given.get("expires")) is not None:
        found["expires"] = moment(app, expires)
    return found


def read_part(app: "Celery", given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call in a plan. Raises NotPorted for those that only a lone one may have."""
    if given.get("countdown") is not None or given.get("eta") is not None:
        raise refuse("countdown in a canvas")
    found = read_call(app, {name: given[name] for name in given if name != "ignore_result"})
    return {name: value for name, value in found.items() if name in IN_A_CANVAS}


def moment(app: "Celery", value: Any) -> Any:
    """A datetime without a zone is meant in that of the settings; numbers stay."""
    if hasattr(value, "tzinfo") and value.tzinfo is None:
        return value.replace(tzinfo=ZoneInfo(app.conf.timezone or "UTC"))
    return value


def refused_attribute(owner: str, name: str, aliases: Mapping[str, str]) -> Exception:
    """The error for an attribute that is not there: in REFUSED under its name or another one, or
    unknown to Celery too."""
    key = aliases.get(name, name)
    if key in REFUSED:
        return NotPorted(f"taskflow.celery has no {owner}.{name}: {REFUSED[key]}")
    return AttributeError(f"{owner} has no attribute {name!r}")
