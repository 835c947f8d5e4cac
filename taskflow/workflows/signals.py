"""Signals: what somebody tells a run, kept until the run takes it."""

from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.broker.change import Put
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import LimitExceeded, VersionConflict
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.message import new_id
from taskflow.tasks.durable import SIGNAL
from taskflow.tasks.nudging import nudge
from taskflow.tasks.run import load
from taskflow.text import check_line

PAGE = 100
KEPT = 30 * 86400.0
"""How long (seconds) a signal is kept that no code of the run can have heard of yet: if nobody ever
begins the run, or it is a task that waits for nothing, it goes."""


class Signal(msgspec.Struct, frozen=True):
    """The value of a signal's record: its name and what came with it, as JSON."""

    name: str
    payload: msgspec.Raw


_read = json.reader(Signal, "a signal of the run")


def check_name(name: str) -> str:
    """Return the name of a signal. Raises ValueError for one that cannot be."""
    try:
        return check_line("the name of a signal", name, 256)
    except TypeError as error:
        raise ValueError(str(error)) from None


def send_signal(
    broker: Broker, run: str, name: str, payload: Any = None, *, id: str | None = None
) -> bool:
    """Tell a run, which takes it when it waits for this name (`ctx.wait`): now, or later. False
    when there is no such run, or it has ended: then nothing is kept. `id`: the same one again is
    one signal. Raises TypeError or ValueError for what JSON does not hold, LimitExceeded for more
    than 1 MiB, BrokerUnavailable."""
    check_name(name)
    encoded = json.encode(payload)
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise LimitExceeded(
            f"the payload of signal {name!r} is {len(encoded)} bytes; {MAX_MESSAGE_BYTES} are "
            "allowed"
        )
    row = load(broker, [run]).get(run)
    if row is None:
        return False
    durable = row.run.durable
    root = run if row.run.place is None else row.run.place.root
    value = msgspec.json.encode(Signal(name, msgspec.Raw(encoded))).decode()
    key = f"{_label(run, name)}\n{id or new_id(broker.clock.now(), broker.random)}"
    put = Put(
        kind=SIGNAL,
        key=key,
        value=value,
        expected=0,
        parent=root,
        label=_label(run, name),
        expires_at=broker.clock.now() + KEPT if durable is None or not durable.version else None,
    )
    try:
        return nudge(broker, run, name, [put]) is not None
    except VersionConflict:
        return True  # it is there already


def next_signal(
    broker: Broker, run: str, name: str, without: set[str]
) -> tuple[Record, msgspec.Raw] | None:
    """The oldest signal of this name that nobody has taken, and what came with it."""
    after: str | None = None
    while True:
        query = RecordQuery(
            kind=SIGNAL, label=_label(run, name), order="oldest", limit=PAGE, after=after
        )
        page = broker.list_records(query)
        for record in page.records:
            if record.key not in without:
                return record, _read(record.value).payload
        if (after := page.next) is None:
            return None


def signals_of(broker: Broker, run: str, root: str) -> list[tuple[str, msgspec.Raw, float]]:
    """The signals of a run that nobody has taken: name, what came with it, and when."""
    query = RecordQuery(kind=SIGNAL, parent=root, order="oldest", limit=1000)
    found = [
        (_read(record.value), record.created_at)
        for record in broker.list_records(query).records
        if record.key.startswith(f"{run}\n")
    ]
    return [(signal.name, signal.payload, at) for signal, at in found]


def _label(run: str, name: str) -> str:
    """Of no other run and name: each of them is one line."""
    return f"{run}\n{name}"
