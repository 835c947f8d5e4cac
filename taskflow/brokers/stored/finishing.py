"""What several changes acknowledge, removed together: one look at each queue for all of them."""

from collections import Counter
from collections.abc import Sequence

from taskflow.broker.change import Change, Send
from taskflow.broker.settings import Finish
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.settle import finish, keeps_others_back
from taskflow.errors import QueueNotFound
from taskflow.limits import is_fifo
from taskflow.stores.rows import Rows


class Finishing:
    """Collects acknowledgements of standard queues, and makes them after all else of the changes.
    Where `can_wait` says so, that is as if each had been made in its place."""

    def __init__(self) -> None:
        self._by_queue: dict[str, list[tuple[Finish, list[bool], int]]] = {}

    def takes(self, one: Finish) -> bool:
        """Whether it can wait: the order of a FIFO queue's groups goes by what is settled."""
        return not is_fifo(one.delivery.queue)

    def add(self, one: Finish, answers: list[bool]) -> None:
        """Note one, whose answer is to be the next in its list."""
        self._by_queue.setdefault(one.delivery.queue, []).append((one, answers, len(answers)))
        answers.append(True)

    def make(self, rows: Rows, now: float, handled: Counter[int], rings: set[str]) -> bool:
        """Make all of them, in their answers False for a stale receipt; whether that is how it
        would be one by one: none was stale, and their queues are there."""
        whole = True
        for name, some in self._by_queue.items():
            try:
                queue = find_queue(rows, name)
            except QueueNotFound:
                return False
            gone = finish(rows, queue, [one for one, _, _ in some], now, fenced=True, tally=False)
            handled[queue.id] += sum(gone)
            for (one, answers, at), done in zip(some, gone, strict=True):
                answers[at] = done
                whole = whole and done
                if keeps_others_back(one.delivery):
                    rings.add(name)
        return whole


def can_wait(changes: Sequence[Change]) -> bool:
    """Whether what these acknowledge may go after all that they send: nothing is sent under an id
    that is acknowledged, no message is settled or fenced twice, and no answer is kept for later."""
    if len(changes) == 1:
        return False  # there is nothing to put together
    sent: set[str] = set()
    touched: set[tuple[str, str]] = set()
    for change in changes:
        if change.id is not None:
            return False
        mine = [one.delivery for one in change.settlements]
        if change.fence is not None and not any(one is change.fence for one in mine):
            mine.append(change.fence)
        for held in mine:
            message = (held.queue, held.receipt.partition(".")[0])
            if message in touched:
                return False
            touched.add(message)
        for send in change.sends:
            sent.update(message.id for message in send.messages)
        for add in change.counters:
            for one in add.then:
                if isinstance(one, Send):
                    sent.update(message.id for message in one.messages)
    return not sent or not any(
        isinstance(one, Finish) and one.delivery.id in sent
        for change in changes
        for one in change.settlements
    )
