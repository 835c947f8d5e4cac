"""Many changes that are alike, as ticks and ends of runs are, made together: kind by kind."""

from collections.abc import Callable, Sequence

from taskflow.broker.change import Applied, Change, Free, Put, Send, Take
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


class LikeChanges:
    """Changes that are alike, put together before there is a transaction: who waits for the lock of
    the file does not wait for that. Raises LimitExceeded for what could not be stored as it is."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._keys: list[Take | Free] = []
        self._puts: list[Put] = []
        self._messages: dict[str, list[Message]] = {}
        self._settled: list[list[bool]] = []
        self._versions: Sequence[int] = ()
        self._sent: dict[str, Sequence[Sent]] = {}
        self.finishing = Finishing()
        """What they acknowledge: it is to be made when `make` was."""
        for change in changes:
            check_change(change)
            self._keys += change.keys
            self._puts += [put for put in change.records if type(put) is Put]
            for send in change.sends:
                assert type(send) is Send
                self._messages.setdefault(send.queue, []).extend(send.messages)
            settled: list[bool] = []
            for one in change.settlements:
                assert type(one) is Finish
                self.finishing.add(one, settled)
            self._settled.append(settled)
        self.rings = {ring_of(put.kind, put.key) for put in self._puts if put.rings}
        self.rings.update(self._messages)

    def make(self, rows: Rows, intake: Intake, fresh: Callable[[], int], now: float) -> bool:
        """Write them. False when one of them is refused, or a BrokerError is raised: then all must
        be undone."""
        if self._keys and not rows.records.change_keys(self._keys, now):
            return False
        if self._puts:
            written = rows.records.put_all(self._puts, fresh, now)
            if written is None:
                return False
            self._versions = written
        for name, messages in self._messages.items():
            self._sent[name] = intake.add(rows, find_queue(rows, name), "", messages, now)
        return True

    def answers(self) -> list[Applied]:
        """What became of each, once all are made."""
        versions = iter(self._versions)
        sent = {name: iter(some) for name, some in self._sent.items()}
        return [
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
            for change, settled in zip(self._changes, self._settled, strict=True)
        ]
