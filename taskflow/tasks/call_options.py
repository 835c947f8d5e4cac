"""What may be said of one call of a task, checked."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args

import msgspec

from taskflow.clock import Instant, epoch_seconds
from taskflow.durations import Duration, seconds_of
from taskflow.limits import check_group, check_headers, check_id
from taskflow.message import PRIORITIES, Priority
from taskflow.text import LONE

OnKey = Literal["keep", "replace", "reject"]
_AS_THEY_ARE = ("queue", "id", "on_key", "strict", "connection", "hold_group")
MAX_KEEP = 10 * 366 * 86400.0
MAX_KEY = 256  # characters


class CallOptions(TypedDict, total=False):
    """`task.options(…)`: durations are seconds, or text such as "15m"; moments are epoch seconds,
    or datetimes with a time zone.

    `queue`: another one of the task's queues. `delay` or `at`: when it is due. `expires`: it does
    not start later than that (a moment, or a duration from now). `id`: its own, instead of a new
    one: the same id is the same run. `key`: while a run of the task with this key waits or runs,
    there is no other; `on_key` says what becomes of a second one: `keep` the first (the default),
    `replace` it, or `reject` the call with KeyTaken. `group`: the message group of a FIFO queue.
    `tenant`: on other queues, those of many share fairly. `priority`: of what is due the higher
    starts first, and the lower at least once in ten times. `debounce`: it is due so long after the
    last call with its key, `max_wait` after the first at the latest; the calls before are
    cancelled. `throttle`: the first call with a key runs, and those of so long after it are that
    one. `headers`: text that its context shows.
    `result`: how long the result is kept, `result_failed` that of a failure; None for no result.
    `strict`: the same id with other arguments is an error, not a warning.
    `connection`, `hold_group`: as for `publish`: the call is part of your transaction. It has no
    key then, nor debounce or throttle: whoever else has the key would wait for your commit.
    """

    queue: str
    delay: Duration
    at: Instant
    expires: Instant | Duration
    id: str
    key: str
    on_key: OnKey
    group: str
    tenant: str
    priority: Priority
    debounce: Duration
    max_wait: Duration
    throttle: Duration
    headers: Mapping[str, str]
    result: Duration | None
    result_failed: Duration
    strict: bool
    connection: object
    hold_group: bool


class Checked(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a call as numbers: `delay` in seconds, `expires_in` too, `at` and `expires_at` in
    epoch seconds; `keep` None when nothing was said of a result, 0 for none; `max_wait` None for
    no end. `key_by`: the arguments whose values are the key."""

    queue: str | None = None
    delay: float = 0.0
    at: float | None = None
    expires_in: float | None = None
    expires_at: float | None = None
    id: str | None = None
    key: str | None = None
    on_key: OnKey = "keep"
    key_by: tuple[str, ...] = ()
    group: str | None = None
    priority: Priority | None = None
    debounce: float = 0.0
    max_wait: float | None = None
    throttle: float = 0.0
    headers: dict[str, str] = {}
    keep: float | None = None
    keep_failed: float | None = None
    strict: bool = False
    connection: Any = None
    hold_group: bool = False

    @property
    def keyed(self) -> bool:
        """Whether there is one call of its key at a time."""
        return bool(self.key or self.key_by or self.debounce or self.throttle)


NOTHING = Checked()


def check_options(given: Mapping[str, Any], defaults: Checked = NOTHING) -> Checked:
    """Options as they were given, else as the task has them. Raises TypeError for one that nobody
    knows, ValueError and LimitExceeded for a value that cannot be."""
    if not given:
        return defaults
    known = CallOptions.__annotations__
    if unknown := [name for name in given if name not in known]:
        raise TypeError(
            f"options does not know {', '.join(map(repr, unknown))}; it knows {', '.join(known)}"
        )
    if "delay" in given and "at" in given:
        raise ValueError("give delay or at, not both")
    _check_pace(given, defaults)
    if "group" in given and "tenant" in given:
        raise ValueError("give group (a FIFO queue) or tenant (others), not both")
    found: dict[str, Any] = {name: given[name] for name in _AS_THEY_ARE if name in given}
    if (id := given.get("id")) is not None:
        check_id(id)
    if found.get("on_key", "keep") not in get_args(OnKey):
        raise ValueError(
            f"on_key is {given['on_key']!r}; {', '.join(map(repr, get_args(OnKey)))} are allowed"
        )
    if "delay" in given:
        found["delay"] = seconds_of("delay", given["delay"])
    if "at" in given:
        found["at"] = epoch_seconds("at", given["at"])
    if (expires := given.get("expires")) is not None:
        found.update(_expires(expires))
    if (key := given.get("key")) is not None:
        found["key"], found["key_by"] = check_key(key), ()
    if (priority := given.get("priority")) is not None:
        found["priority"] = check_priority(priority)
    for name in ("debounce", "max_wait", "throttle"):
        if name in given:
            found[name] = seconds_of(name, given[name])
    for name in ("group", "tenant"):
        if (group := given.get(name)) is not None:
            found["group"] = check_group(f"the {name}", group)
    if headers := given.get("headers"):
        if not isinstance(headers, Mapping):
            raise TypeError(f"headers is {headers!r}; a dict of names to text is wanted")
        check_headers(headers, 0)
        found["headers"] = dict(headers)
    if "result" in given:
        found["keep"] = keep_of("result", given["result"])
    if "result_failed" in given:
        found["keep_failed"] = keep_of("result_failed", given["result_failed"])
    checked = msgspec.structs.replace(defaults, **found)
    if checked.max_wait is not None and checked.max_wait < checked.debounce:
        raise ValueError(
            f"max_wait is {checked.max_wait:g} s; debounce, {checked.debounce:g} s, or more"
        )
    if checked.connection is not None and checked.keyed:
        raise ValueError(
            "a call with connection= has no key, debounce or throttle: whoever else calls with the "
            "key would wait until your transaction ends; call it after the commit"
        )
    return checked


def _check_pace(given: Mapping[str, Any], defaults: Checked) -> None:
    """Raise ValueError for what does not go together."""
    debounced = bool(given.get("debounce", defaults.debounce))
    throttled = bool(given.get("throttle", defaults.throttle))
    if debounced and throttled:
        raise ValueError("give debounce or throttle, not both")
    if "max_wait" in given and not debounced:
        raise ValueError("max_wait is the most that debounce waits; give that too")
    if not (debounced or throttled):
        return
    kind = "debounce" if debounced else "throttle"
    clash = {"debounce": ("delay", "at", "id", "on_key"), "throttle": ("id", "on_key")}[kind]
    for name in clash:
        if name in given:
            raise ValueError(f"give {kind} or {name}, not both")


def check_priority(priority: Priority) -> Priority:
    """Return a priority. Raises ValueError for one that nobody knows."""
    if priority not in PRIORITIES:
        raise ValueError(
            f"priority is {priority!r}; {', '.join(map(repr, PRIORITIES))} are allowed"
        )
    return priority


def check_key(key: str) -> str:
    """Return a key. Raises TypeError for what is no text, ValueError for its length."""
    if not isinstance(key, str):
        raise TypeError(f"key is {key!r}; text is wanted")
    if not 1 <= len(key) <= MAX_KEY:
        raise ValueError(f"key has {len(key)} characters; 1 to {MAX_KEY} are allowed")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ValueError(f"key {LONE}: {key!r}") from None
    return key


def keep_of(what: str, value: Duration | None) -> float:
    """For how long a result is kept (seconds); 0 for None, which is no result."""
    if value is None or value is False:
        return 0.0
    seconds = seconds_of(what, value)
    if not 0 < seconds <= MAX_KEEP:
        raise ValueError(
            f"{what} is {value!r}; more than 0, 10 years at most, or None to keep no result"
        )
    return seconds


def _expires(value: Any) -> dict[str, float]:
    """A moment is a datetime, or so many seconds that they are no duration."""
    if hasattr(value, "tzinfo") or (isinstance(value, int | float) and value > MAX_KEEP):
        return {"expires_at": epoch_seconds("expires", value)}
    return {"expires_in": seconds_of("expires", value)}
