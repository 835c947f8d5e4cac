"""A message that is found to share a limit goes to the file in which that is counted."""

import msgspec

from taskflow.broker.change import Applied, Change, GiveBack, Send
from taskflow.broker.settings import Finish
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.receipts import Receipts
from taskflow.errors import LeaseLost
from taskflow.limits import is_fifo
from taskflow.message import Delivery, Message


class SlotMoves:
    """Whoever sent a message did not know of its limit, and its worker gives it back with a slot.
    (Only messages that were sent to their queue, as tasks are: others have a topic, which a message
    that is sent has not. Those count where they are.)"""

    def __init__(self, placement: Placement, receipts: Receipts) -> None:
        self._placement = placement
        self._receipts = receipts

    def instead(self, change: Change) -> Change | None:
        """What to make in place of a change that only gives such a message back; None when it may
        stay where it is."""
        if len(change.settlements) != 1 or not isinstance(change.settlements[0], GiveBack):
            return None
        back = change.settlements[0]
        held, slot = back.delivery, back.slot
        if slot is None or held.topic or is_fifo(held.queue):
            return None
        message = _message(held, slot)
        if self._placement.of_message(message) == self._receipts.file_of(held.receipt):
            return None
        alone = msgspec.structs.replace(change, settlements=())
        if alone != Change(id=change.id, remembered=change.remembered):
            return None
        return msgspec.structs.replace(
            change,
            fence=held,
            sends=[Send(held.queue, [message])],
            settlements=[Finish(held)],
        )

    @staticmethod
    def answer(made: Applied) -> Applied:
        """What is said of the change that it stands for."""
        if isinstance(made.refused, LeaseLost):
            return Applied(settled=[False])
        return made if made.refused is not None else Applied(settled=made.settled)


def _message(held: Delivery, slot: str) -> Message:
    """As it was sent, but due now."""
    return Message(
        held.id,
        held.body,
        held.attributes,
        group=held.group,
        trace=held.trace,
        sender=held.sender,
        run=held.run,
        expires_at=held.expires_at,
        priority=held.priority,
        headers=held.headers,
        slot=slot,
    )
