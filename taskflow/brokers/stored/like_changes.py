"""Many changes that are alike, as ticks and ends of runs are, made together: kind by kind."""

from collections.abc import Callable, Iterator, Sequence

from taskflow.broker.change import Applied, Change, Put, Send
from taskflow.broker.settings import Finish, Sent
from taskflow.brokers.stored.application import ring_of
from taskflow.brokers.stored.change_limits import check_change, is_version
from taskflow.brokers.stored.finishing import Finishing
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.lookup import find_queue
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.stores.rows import Rows


def are_alike(changes: Sequence[Change], waits: bool) -> bool:
    """Whether it is as if each were made by itself when all keys, all records and all messages are
    written one after the other: none touches what another does. `waits`: what they acknowledge may
    wait till after that."""
    if len(changes) < 2:
        return False
    touched: list[object] = []
    for change in changes:
        if change.id is not None or change.counters:
            return False
        for key in change.keys:
            touched.append(key.key)
        for put in change.records:
            if type(put) is not Put or put.expected is None or not is_version(put.expected):
                return False
            touched.append((put.kind, put.key))
        for send in change.sends:
            if type(send) is not Send:
                return False
            touched += [(send.queue, message.id) for message in send.messages]
        fence = change.fence
        for one in change.settlements:
            if type(one) is not Finish or not waits or is_fifo(one.delivery.queue):
                return False
            if one.delivery is fence:
                fence = None
        if fence is not None:
            return False
    return len(set(touched)) == len(touched)


def make_alike(
    rows: Rows,
    changes: Sequence[Change],
    intake: Intake,
    fresh: Callable[[], int],
    now: float,
    rings: set[str],
    finishing: Finishing | None,
) -> list[Applied] | None:
    """Make them, and have what they acknowledge wait in `finishing`. None when one of them is
    refused, or a BrokerError is raised: then all must be undone."""
    for change in changes:
        check_change(change)
    keys = [key for change in changes for key in change.keys]
    if keys and not rows.records.change_keys(keys, now):
        return None
    puts = [put for change in changes for put in change.records if type(put) is Put]
    versions: Iterator[int] = iter(())
    if puts:
        written = rows.records.put_all(puts, fresh, now)
        if written is None:
            return None
        versions = iter(written)
        rings.update([ring_of(put.kind, put.key) for put in puts if put.rings])
    sent = _send(rows, changes, intake, now, rings)
    answers = []
    for change in changes:
        settled: list[bool] = []
        for one in change.settlements:
            assert finishing is not None
            assert type(one) is Finish
            finishing.add(one, settled)
        answers.append(
            Applied(
                versions=[next(versions) for _ in change.records],
                counts=[],
                sent=[
                    [next(sent[send.queue]) for _ in send.messages]
                    for send in change.sends
                    if type(send) is Send
                ],
                settled=settled,
            )
        )
    return answers


def _send(
    rows: Rows, changes: Sequence[Change], intake: Intake, now: float, rings: set[str]
) -> dict[str, Iterator[Sent]]:
    """Store all that they send; what became of each message, by queue."""
    by_queue: dict[str, list[Message]] = {}
    for change in changes:
        for send in change.sends:
            if type(send) is Send:
                by_queue.setdefault(send.queue, []).extend(send.messages)
    sent = {}
    for name, messages in by_queue.items():
        queue = find_queue(rows, name)
        rings.add(name)
        sent[name] = iter(intake.add(rows, queue, "", messages, now))
    return sent
