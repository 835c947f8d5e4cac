"""Events that are signals: `@workflow(on={"parcel.shipped": "order_id"})`."""

import logging
from collections.abc import Mapping
from typing import Any

from taskflow.errors import RegistrationError
from taskflow.event import Event, handling
from taskflow.limits import check_topic
from taskflow.registry import Registry
from taskflow.retry import Done
from taskflow.tasks.preparing import key_of
from taskflow.workflows.signals import send_signal

log = logging.getLogger("taskflow.workflows")


def subscribe_signals(
    registry: Registry, task: str, queue: str, on: Mapping[str, str], visibility_timeout: float
) -> None:
    """Let events of these topics be signals of the task's runs: of the run whose key is what the
    field of the payload holds. Raises RegistrationError for what is no topic or field."""
    for topic, field in on.items():
        check_topic(topic)
        if not (isinstance(field, str) and field):
            raise RegistrationError(
                f"on= has {field!r} for {topic!r}; the name of the payload's field that holds the "
                "key of the run is wanted"
            )
        handler = _handler(task, field)
        module, _, name = task.rpartition(".")
        handler.__module__, handler.__qualname__ = module, f"{name}.on.{topic}"
        registry.subscribe(topic, queue=queue, visibility_timeout=visibility_timeout)(handler)


def _handler(task: str, field: str) -> Any:
    def signal(event: Event[Any]) -> Done:
        broker = handling.get()
        assert broker is not None
        value = _find(event.payload, field)
        key = value if isinstance(value, str) else str(value)
        run = None
        if value is not None:
            run = broker.holders([key_of(task, key)]).get(key_of(task, key))
        told = run is not None and send_signal(
            broker, run, event.topic, event.payload, id=f"{event.topic}/{event.id}"
        )
        if told:
            return Done()
        log.info(
            "event=%s of %s fits no run of %s that lives: its %s is no key of one",
            *(event.id, event.topic, task, field),
        )
        return Done(skipped="fits no run")

    return signal


def _find(payload: Any, field: str) -> Any:
    """A field of the payload; `order.id` is one within another."""
    for name in field.split("."):
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload
