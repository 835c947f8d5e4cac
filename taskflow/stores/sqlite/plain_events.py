"""Many events that have nothing but a payload, as the ids and bodies of their messages.

It is the short form of `event.Event.message` and of what `message.Message` checks.
"""

from collections.abc import Collection, Sequence
from typing import Any

from taskflow import payload as json
from taskflow.clock import rfc3339_each
from taskflow.errors import LimitExceeded
from taskflow.event import Event
from taskflow.limits import check_message
from taskflow.message import NO_ATTRIBUTES
from taskflow.text import is_simple

_PART = 1000  # events at a time: their JSON is in memory several times meanwhile
_LONG = 256  # characters of an id, a source or a parent: the general way may have a limit for it


def write_plain(
    topic: str, events: Sequence[Event[Any]], most: int
) -> tuple[list[str], list[str]] | None:
    """Ids and bodies of events of a topic. None when one of them is no such event, or its message
    has more than `most` bytes, or something is wrong with it: the general way says what."""
    ids: list[str] = []
    bodies: list[str] = []
    for start in range(0, len(events), _PART):
        part = events[start : start + _PART]
        if (written := _write_part(topic, part, most)) is None:
            return None
        ids += [event.id for event in part]
        bodies += written
    return ids, bodies


def _write_part(topic: str, events: Sequence[Event[Any]], most: int) -> list[str] | None:
    for event in events:
        if (
            type(event) is not Event
            or type(event.topic) is not str
            or event.subject is not None
            or event.correlation_id is not None
            or event.causation_id is not None
            or event.group is not None
            or event.attributes
        ):
            return None
    ids = [event.id for event in events]
    sources = [event.source for event in events]
    parents = [event.traceparent for event in events]
    try:
        lines = (ids, set(sources), set(parents) - {None})
        if not all(map(_are_plain, lines)):
            return None
        times = rfc3339_each([event.time for event in events])
        data = json.encode_each([event.payload for event in events])
    except Exception:
        return None
    start, middle = '{"specversion":"1.0","id":"', f'","type":"{topic}","time":"'
    traces = ["" if one is None else f',"traceparent":"{one}"' for one in parents]
    bodies = [
        f'{start}{id}","source":"{source}{middle}{time}"{trace},"data":{text}}}'
        for id, source, time, trace, text in zip(ids, sources, times, traces, data, strict=True)
    ]
    if is_simple("".join(data)):  # as all the rest is
        return bodies if len(max(bodies, key=len)) <= most else None
    bodies = [json.carried(body) for body in bodies]
    try:
        for body in bodies:
            check_message(body, NO_ATTRIBUTES, most)
    except LimitExceeded:
        return None
    return bodies


def _are_plain(lines: Collection[Any]) -> bool:
    """Whether these are texts that stand in JSON as they are, and none is long."""
    if not lines:
        return True
    if set(map(type, lines)) != {str} or not all(lines) or len(max(lines, key=len)) > _LONG:
        return False
    text = "".join(lines)
    return is_simple(text) and '"' not in text and "\\" not in text
