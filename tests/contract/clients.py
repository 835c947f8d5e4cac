"""boto3's sessions and clients for the AWS broker, lent to one test after another.

To make a session and three clients takes longer than most tests that need them.
"""

# botocore has no types.
# mypy: allow-untyped-calls

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

from botocore.retries.adaptive import ClientRateLimiter

from taskflow.brokers.aws import client
from taskflow.brokers.aws.client import Api

_new_session = client._new_session
_idle: defaultdict[Any, list[Any]] = defaultdict(list)
_lent: dict[int, tuple[Any, int]] = {}
"""By the id of a client that is in use: where it belongs, and how many listen to its events."""


def _environment() -> tuple[tuple[str, str], ...]:
    """What boto3 reads of it: a session is for those who would be told the same."""
    names = ("AWS_", "HOME")
    return tuple(sorted(one for one in os.environ.items() if one[0].startswith(names)))


@cache
def _session(region: str, _: tuple[tuple[str, str], ...]) -> Any:
    return _new_session(region)


class _Lender:
    """A session whose clients are those that nobody has now."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._inner = _session(region, _environment())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def client(self, service: str, endpoint_url: str | None, config: Any) -> Any:
        key = (service, self._region, endpoint_url, _environment())
        idle = _idle[key]
        found = (
            idle.pop()
            if idle
            else self._inner.client(service, endpoint_url=endpoint_url, config=config)
        )
        _lent[id(found)] = key, len(_handlers(found))
        return found


def _handlers(client: Any) -> list[Any]:
    """All that listen to a client's events."""
    found: list[Any] = []
    nodes = [client.meta.events._emitter._handlers._root]
    while nodes:
        node = nodes.pop()
        nodes.extend(node["children"].values())
        found.extend(handler for part in node["values"] or () for handler in part)
    return found


@contextmanager
def lent_clients() -> Iterator[None]:
    """Whoever opens AWS in this block gets clients that are lent."""
    with mock.patch.object(client, "_new_session", _Lender):
        yield


def give_back(api: Api, *listeners: Callable[..., Any]) -> None:
    """Take the clients back that are as they were once these listeners are gone. One that something
    else listens to, or that was told to slow down, is nobody's any more."""
    for one in api.clients.values():
        for listener in listeners:
            one.meta.events.unregister("before-send", listener)
        key, count = _lent.pop(id(one), (None, 0))
        handlers = _handlers(one)
        limiters = [getattr(handler, "__self__", None) for handler in handlers]
        slow = any(isinstance(it, ClientRateLimiter) and it._enabled for it in limiters)
        if key is not None and len(handlers) == count and not slow:
            _idle[key].append(one)
