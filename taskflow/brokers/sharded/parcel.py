"""What has to happen in another file, as text: parts of a change, that it was made, and parts of
trees that came from another broker."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from taskflow.broker.change import (
    Add,
    Bury,
    Change,
    Free,
    GiveBack,
    Hide,
    Keep,
    Publish,
    Put,
    Remove,
    Send,
    Take,
)
from taskflow.broker.settings import Finish
from taskflow.broker.tree_handover import Tree
from taskflow.message import Delivery, Message
from taskflow.stores.message_columns import read_attributes, write_attributes

_PLAIN = {kind.__name__: kind for kind in (Take, Free, Put, Remove)}
_SENDS = {kind.__name__: kind for kind in (Send, Publish)}
_SETTLEMENTS = {kind.__name__: kind for kind in (Finish, Hide, Keep, GiveBack, Bury)}
_LISTS = ("keys", "records", "counters", "sends", "settlements")
_write = msgspec.json.Encoder().encode


class Noted(NamedTuple):
    """That a change of this id was made, with what is answered when it is made again, until
    then."""

    id: str
    answer: str
    expires_at: float


Deed = Change | Noted | Tree
"""A part of what has to happen."""


def write_parcel(deeds: Sequence[Deed]) -> str:
    """Changes without ids. A fence is left out: it held when the parcel was made."""
    return _write([_lists(one) if isinstance(one, Change) else one for one in deeds]).decode()


def read_parcel(text: str) -> Sequence[Deed]:
    """What was written."""
    return [_deed(found) for found in msgspec.json.decode(text)]


def _deed(found: Any) -> Deed:
    if not isinstance(found, dict):
        return Noted(*found)
    return msgspec.convert(found, Tree) if "root" in found else _change(found)


def _lists(change: Change) -> dict[str, Any]:
    return {name: [_entry(one) for one in getattr(change, name)] for name in _LISTS}


def _change(found: dict[str, list[Any]]) -> Change:
    lists: dict[str, Any] = {name: [_made(*one) for one in found[name]] for name in _LISTS}
    return Change(**lists)


def _entry(one: Any) -> tuple[str, dict[str, Any]]:
    name = type(one).__name__
    if name in _PLAIN:
        return name, msgspec.structs.asdict(one)
    if isinstance(one, Add):
        then = [_entry(each) for each in one.then]
        return name, msgspec.structs.asdict(one) | {"then": then}
    if name in _SENDS:
        messages = [_message(each) for each in one.messages]
        return name, msgspec.structs.asdict(one) | {"messages": messages}
    return name, msgspec.structs.asdict(one) | {"delivery": _receipt(one.delivery)}


def _made(name: str, fields: dict[str, Any]) -> Any:
    if (plain := _PLAIN.get(name)) is not None:
        return plain(**fields)
    if name == Add.__name__:
        return Add(**fields | {"then": [_made(*each) for each in fields["then"]]})
    if (kind := _SENDS.get(name)) is not None:
        messages = [
            Message(**each | {"attributes": read_attributes(each["attributes"])})
            for each in fields["messages"]
        ]
        return kind(**fields | {"messages": messages})
    made: Callable[..., Any] = _SETTLEMENTS[name]
    return made(**fields | {"delivery": _held(fields["delivery"])})


def _message(message: Message) -> dict[str, Any]:
    fields = msgspec.structs.asdict(message)
    del fields["size"]  # it is counted anew
    return fields | {"attributes": write_attributes(message.attributes)}


_RECEIPT = ("id", "topic", "queue", "receipt", "slot")


def _receipt(delivery: Delivery) -> Mapping[str, Any]:
    """What settling needs of a delivery."""
    return {name: getattr(delivery, name) for name in _RECEIPT}


def _held(fields: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=fields["id"],
        topic=fields["topic"],
        body="",
        attributes={},
        queue=fields["queue"],
        receipt=fields["receipt"],
        receive_count=0,
        sent_at=0.0,
        first_received_at=0.0,
        visible_at=0.0,
        slot=fields["slot"],
    )
