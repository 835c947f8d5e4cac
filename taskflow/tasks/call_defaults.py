"""What a task says of its calls that say nothing else themselves."""

from collections.abc import Sequence

import msgspec

from taskflow.durations import Duration
from taskflow.message import Priority
from taskflow.tasks.call_options import Checked, OnKey, check_options
from taskflow.tasks.flow import names_of


def read_defaults(
    priority: Priority | None,
    key: str | Sequence[str] | None,
    on_key: OnKey,
    debounce: Duration | None,
    max_wait: Duration | None,
    throttle: Duration | None,
) -> Checked:
    """The options of `@task` that are those of its calls. Raises ValueError and RegistrationError
    for what cannot be."""
    said = {
        "priority": priority,
        "debounce": debounce,
        "max_wait": max_wait,
        "throttle": throttle,
        "on_key": None if on_key == "keep" else on_key,
    }
    found = check_options({name: value for name, value in said.items() if value is not None})
    if key is None:
        return found
    return msgspec.structs.replace(found, key_by=names_of("key", key))
