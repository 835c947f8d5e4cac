"""Storing calls of tasks: one, or many at once."""

import warnings
from collections.abc import Callable, Iterable, Iterator

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Free, Put, Remove, Send
from taskflow.errors import KeyTaken, RunExists, VersionConflict
from taskflow.outgoing import collecting
from taskflow.tasks.call_options import Checked
from taskflow.tasks.cancelling import stop_parts
from taskflow.tasks.canvas.following import Following
from taskflow.tasks.lost import end_if_lost
from taskflow.tasks.preparing import Prepared, stop_run
from taskflow.tasks.run import FINAL, RUN, load, read_run, row_of

AT_ONCE = 1000  # calls in one transaction


def submit(
    broker: Broker, call: Prepared, options: Checked, again: Callable[[float], Prepared]
) -> tuple[str, bool]:
    """Store one call; answers the id of its run, and whether this call made it: with a key or an id
    that is there already, it is the one that is there. Within a task it is stored when that has
    succeeded. `again` makes the call anew, as one of those whose first was made then. Raises
    RunExists, KeyTaken, and what the broker does."""
    if options.connection is not None:
        return _submit_joined(broker, call, options)
    if (out := collecting(broker)) is None:
        return _submit_now(broker, call, options, again)
    if call.take is None and options.id is None:
        _store(broker, [call], options)
        return call.id, True
    return out.once(call.task, lambda: _submit_now(broker, call, options, again))


def _submit_now(
    broker: Broker, call: Prepared, options: Checked, again: Callable[[float], Prepared]
) -> tuple[str, bool]:
    if call.put is None:
        assert call.message is not None
        broker.send(call.queue, [call.message])
        return call.id, True
    change, replaced = call.change(), ""
    while (refused := broker.apply([change])[0].refused) is not None:
        if isinstance(refused, KeyTaken) and refused.holder != call.id:
            if options.throttle:
                return refused.holder, False
            if options.debounce:
                call, change = _debounce(broker, call, refused.holder, again)
                continue
            if options.on_key != "replace" and _lives(broker, refused.holder):
                if options.on_key == "reject":
                    raise refused
                return refused.holder, False
            change, replaced = replace_holder(broker, call, refused.holder), refused.holder
        elif isinstance(refused, VersionConflict) and refused.key == call.id:
            if _is_the_same(broker, call, options):
                return call.id, False
        elif isinstance(refused, VersionConflict):  # who has the key has just changed: look again
            change, replaced = call.change(), ""
        else:
            raise refused
    if replaced:
        stop_parts(broker, replaced)
    return call.id, True


def _submit_joined(broker: Broker, call: Prepared, options: Checked) -> tuple[str, bool]:
    """As `submit`, in the caller's transaction."""
    try:
        _store(broker, [call], options)
    except VersionConflict:
        if broker.records(RUN, [call.id]):  # else it was made in this very transaction
            _is_the_same(broker, call, options)
        return call.id, False
    return call.id, True


def submit_many(broker: Broker, calls: Iterable[Prepared], options: Checked) -> Iterator[str]:
    """Store calls, each thousand in one transaction, or all in the caller's; yields their ids once
    they are stored. Within a task they are stored when that has succeeded."""
    some: list[Prepared] = []
    for call in calls:
        some.append(call)
        if len(some) == AT_ONCE:
            yield from _store(broker, some, options)
            some = []
    if some:
        yield from _store(broker, some, options)


def _store(broker: Broker, calls: list[Prepared], options: Checked) -> list[str]:
    connection, hold_group = options.connection, options.hold_group
    queues = dict.fromkeys(call.queue for call in calls if call.message is not None)
    sends = [
        Send(queue, [one.message for one in calls if one.queue == queue and one.message])
        for queue in queues
    ]
    records = [call.put for call in calls if call.put is not None]
    if connection is None and (out := collecting(broker)) is not None:
        out.add(calls[0].task, sends=sends, records=records)
    elif not records and len(sends) == 1:
        queue, messages = sends[0].queue, sends[0].messages
        broker.send(queue, messages, connection=connection, hold_group=hold_group)
    else:
        change = Change(records=records, sends=sends)
        broker.apply([change], connection=connection, hold_group=hold_group)[0].or_raise()
    return [call.id for call in calls]


def _lives(broker: Broker, holder: str) -> bool:
    """Whether the run that holds a key will end some time; one that will not has ended by this."""
    row = load(broker, [holder]).get(holder)
    row = None if row is None else end_if_lost(broker, row)
    return row is not None and row.state not in FINAL


def _debounce(
    broker: Broker, call: Prepared, holder: str, again: Callable[[float], Prepared]
) -> tuple[Prepared, Change]:
    """The call that takes a key over: instead of a run that waits still, or after one that does
    not any more, which goes on without the key."""
    before = load(broker, [holder]).get(holder)
    starts_at = None if before is None else before.run.starts_at
    waits = before is not None and before.state in ("scheduled", "waiting")
    if waits and before is not None and starts_at is not None and starts_at > broker.clock.now():
        first_at = before.run.first_at
        call = again(before.created_at if first_at is None else first_at)
        return call, replace_holder(broker, call, holder)
    assert call.take is not None
    change = call.change()
    keys = [Free(call.take.key, holder), *change.keys]
    return call, msgspec.structs.replace(change, keys=keys)


def replace_holder(broker: Broker, call: Prepared, holder: str) -> Change:
    """The call in place of who has its key: that one is cancelled, or told to stop. (And then
    `stop_parts` of it.)"""
    assert call.take is not None
    change = call.change()
    before = load(broker, [holder]).get(holder)
    records: list[Put | Remove] = list(change.records)
    following = Following(broker, now := broker.clock.now())
    if before is not None and before.state == "running":
        records.insert(0, stop_run(before, now)[0])
    elif before is not None and before.state not in FINAL:
        following.end(before, before.run, "cancelled")
    elif before is None:  # it is not made meanwhile, in another file than its key
        records.insert(0, Remove(RUN, holder, expected=0))
    return msgspec.structs.replace(
        change,
        keys=[Free(call.take.key, holder), *change.keys],
        records=[*following.records, *records],
        counters=[*following.counters, *change.counters],
        sends=[*following.sends, *change.sends],
    )


def _is_the_same(broker: Broker, call: Prepared, options: Checked) -> bool:
    """Whether the run of this id is the same call; False when it is gone meanwhile. Raises
    RunExists when it is another one."""
    record = broker.records(RUN, [call.id]).get(call.id)
    if record is None:
        return False
    found, put = row_of(record).run, call.put
    assert put is not None
    wanted = read_run(call.id, put.value)
    if found.task != wanted.task:
        raise RunExists(call.id, f"it is one of {found.task}, not of {wanted.task}")
    if (found.args, found.kwargs) != (wanted.args, wanted.kwargs):
        if options.strict:
            raise RunExists(call.id, "it has other arguments")
        warnings.warn(
            f"run {call.id!r} of {call.task} is there with other arguments, and stays as it is "
            "(strict=True refuses)",
            stacklevel=5,
        )
    return True
