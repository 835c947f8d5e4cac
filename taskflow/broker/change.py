"""What `Broker.apply` takes: everything that must happen together or not at all, as data."""

from collections.abc import Sequence

import msgspec

from taskflow.broker.settings import Finish, Sent
from taskflow.errors import BrokerError
from taskflow.message import Delivery, Message


class Hide(msgspec.Struct, frozen=True):
    """Hide a message for so many seconds from now: its holder is done with it for this time."""

    delivery: Delivery
    seconds: float


class Keep(msgspec.Struct, frozen=True):
    """Keep the lease of a message that is being run for so many seconds from now."""

    delivery: Delivery
    seconds: float


class GiveBack(msgspec.Struct, frozen=True):
    """Make a message visible at once, as if it had not been received. `slot`: from now on it counts
    there (`Message.slot`)."""

    delivery: Delivery
    slot: str | None = None


class Bury(msgspec.Struct, frozen=True):
    """Move a message to its queue's DLQ with a failure record (JSON text)."""

    delivery: Delivery
    failure: str


Settlement = Finish | Hide | Keep | GiveBack | Bury
"""How a message is settled. As in the verbs of the same kind: a stale receipt settles nothing, and
is answered False."""


class Send(msgspec.Struct, frozen=True):
    """Store messages in a queue."""

    queue: str
    messages: Sequence[Message]


class Publish(msgspec.Struct, frozen=True):
    """Store messages in the queues that subscribe to a topic."""

    topic: str
    messages: Sequence[Message]


class Put(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Write a record; the fields are those of `Record`.

    `expected` is the version that it must have: None for any or none, 0 for none (it is new).
    `rings`: who waits for this record (`Broker.wait_record`) is woken.
    """

    kind: str
    key: str
    value: str
    expected: int | None = None
    parent: str | None = None
    label: str | None = None
    state: str | None = None
    due_at: float | None = None
    expires_at: float | None = None
    rings: bool = False


class Remove(msgspec.Struct, frozen=True):
    """Remove a record with what it counts; `expected` as in `Put`. None there is no error."""

    kind: str
    key: str
    expected: int | None = None


class Add(msgspec.Struct, frozen=True):
    """Add to the count of a record, whatever its version, which stays as it is.

    `then` happens too if the count is 0 after it: so the last of many to count down does what all
    of them were for, whoever that is.
    """

    kind: str
    key: str
    by: int
    then: "Sequence[Put | Send]" = ()


class Take(msgspec.Struct, frozen=True):
    """Take a key for `holder`, until then (epoch seconds) or for good. Who has it may take it
    again."""

    key: str
    holder: str
    until: float | None = None


class Free(msgspec.Struct, frozen=True):
    """Free a key, if this holder has it."""

    key: str
    holder: str


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything in it happens, or nothing, in the order of the fields.

    (So what is sent under the id of a message that is settled here is held still, and is not stored
    again. Where `features.atomic` is False a part of it may have happened: repeat it by its id.)

    `fence` is a delivery whose lease must hold. `id` makes the change repeatable: within
    `remembered` seconds another one of the same id changes nothing and is answered as the first
    was. What refuses it is in `Applied.refused`:

    - LeaseLost: the fence's receipt is stale, or its lease has ended;
    - VersionConflict: a record is not in the version expected;
    - KeyTaken: somebody else has a key;
    - QueueNotFound, TopicNotFound, LimitExceeded: as the verbs of the same kind raise them.
    """

    id: str | None = None
    remembered: float = 86400.0
    fence: Delivery | None = None
    keys: Sequence[Take | Free] = ()
    records: Sequence[Put | Remove] = ()
    counters: Sequence[Add] = ()
    sends: Sequence[Send | Publish] = ()
    settlements: Sequence[Settlement] = ()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change, entry by entry in the order of its fields.

    `versions` are those of the records now (0 for a removed one), `counts` what the counters
    are now (None when there is no such record), `settled` is False for a stale receipt. `repeated`:
    it had been applied before. `refused`: why nothing of it happened; then the rest is empty.
    """

    versions: Sequence[int] = ()
    counts: Sequence[int | None] = ()
    sent: Sequence[Sequence[Sent]] = ()
    settled: Sequence[bool] = ()
    repeated: bool = False
    refused: BrokerError | None = None

    def or_raise(self) -> "Applied":
        """Itself; raises what the change was refused with."""
        if self.refused is not None:
            raise self.refused
        return self
