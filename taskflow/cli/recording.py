"""The record of who did what: what a command changes is noted in it."""

import getpass
import logging
import socket
from collections.abc import Collection

from taskflow.broker import Broker
from taskflow.broker.action import Action
from taskflow.errors import BrokerError

log = logging.getLogger("taskflow.cli")


def note(
    broker: Broker,
    did: str,
    *,
    queue: str | None = None,
    target: str | Collection[str] | None = None,
    count: int | None = None,
) -> None:
    """Note that who runs this command did something. What is done stays done, whether it can be
    noted or not."""
    if not broker.features.runs:
        return
    if target is not None and not isinstance(target, str):
        target = ", ".join(sorted(target)) or None
    who, host = who_runs_this()
    action = Action(who=who, did=did, queue=queue, target=target, count=count, via="cli", host=host)
    try:
        broker.note_action(action)
    except BrokerError as error:
        log.warning("what was done is not in the record of actions: %s", error)


def who_runs_this() -> tuple[str, str]:
    """The user of this command, and the host where it runs."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a numeric user of a container has no name
        user = "unknown"
    return user, socket.gethostname()
