"""What a store keeps and answers: queues, topics, messages as rows; what to lend, and what was."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskflow.broker.settings import Holding, QueueSettings, TopicSettings, TopicSubscription
from taskflow.stores.turns import Turns


class QueueRow(NamedTuple):
    """A queue as stored."""

    id: int
    name: str
    paused: bool
    settings: QueueSettings
    fifo: bool
    """Whether messages keep the order of their groups."""


class Counted(NamedTuple):
    """What a queue holds, `oldest` being when the first of it was sent, `due` since when the first
    of it is due; and its totals."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    oldest: float | None = None
    due: float | None = None
    handled: int = 0
    dead_lettered: int = 0
    expired: int = 0


class TopicRow(NamedTuple):
    """A topic as stored."""

    name: str
    settings: TopicSettings


class Target(NamedTuple):
    """A subscription and the queue that stores its messages."""

    subscription: TopicSubscription
    queue: QueueRow


class Row(NamedTuple):
    """One stored message. `source` is the id of the queue a dead letter came from; `level` is HIGH,
    NORMAL or LOW."""

    seq: int
    id: str
    topic: str
    receive_count: int
    first_received_at: float | None
    sent_at: float
    visible_at: float
    source: int | None
    body: str
    attributes: str
    extra: str | None
    receipt: int | None
    level: int | None = None
    slot: str | None = None

    @property
    def lapsed(self) -> bool:
        """Whether its last lease ended without a word from who held it: it crashed, or stalled."""
        return self.receipt is not None and not self.receipt & SPOKEN

    @property
    def bystander(self) -> bool:
        """Whether it lapsed the first time, and others had been taken before it or with it."""
        return self.lapsed and (self.receipt or 0) & (AHEAD | CROWD) == AHEAD


AHEAD = 1
"""In a receipt: a worker took it together with others, so that it may not have started on it."""
SPOKEN = 2
"""In a stored receipt: its holder has said itself when the message is to be visible again."""
CROWD = 4
"""In a receipt: it had lapsed, and was lent once more together with others that had."""


PACED = 2
"""In place of a receipt: nobody has it, and when it is due its turn at a rate has come."""
PARKED_AT = 9e15
"""The `visible_at` of a row that is due and waits for its slot."""
HIGH, NORMAL, LOW = 0, None, 2
LEVELS: Sequence[int | None] = (HIGH, NORMAL, LOW)

ANY = -1
"""In place of a receipt: whichever the row carries."""


class Held(NamedTuple):
    """A claim on a row: its number, and the receipt it must still carry (or ANY, to `remove` and
    `hide`)."""

    seq: int
    receipt: int


class Ask(NamedTuple):
    """What to lend: up to `limit` rows, hidden until then under `receipt`.

    A row sent at or before `kept_from` is past its retention; one with `most` counted receives is
    worn out (None: never, or there is nowhere to go). `holding`: as a worker asks, so that what
    lapsed comes alone, or with its like, or what is before the first of it. `noisy`: groups that
    come after the others, in this order. `turns` is there when the queue has rows of other levels
    than NORMAL, and says whose turn it is. A row whose slot is full, by the `limits` of `holding`,
    is parked; one that comes too early for its rate is hidden until then.
    """

    limit: int
    receipt: int
    until: float
    kept_from: float
    most: int | None
    holding: Holding | None
    noisy: Sequence[str] = ()
    turns: Turns | None = None


class Lent(NamedTuple):
    """What `lend` found. `rows` are as they were before they were lent, `receive_count` without a
    receive that does not count; `receipt` is theirs now, with AHEAD and CROWD where they hold.
    `old` and `worn` are not lent: they are the caller's to drop and to move; with `holding`,
    nothing is lent beside them. So many were `put_off`, for their slots: there may be others in
    their place.
    `unfinished` are the numbers of rows whose event the queue does not remember as finished, as far
    as it was asked."""

    rows: list[Row]
    old: list[Row]
    worn: list[Row]
    receipt: int
    put_off: int = 0
    unfinished: Collection[int] = ()


class Kinds(NamedTuple):
    """What a standard queue holds beside plain messages: some with message groups, some of another
    level than NORMAL."""

    grouped: bool
    leveled: bool


PLAIN = Kinds(False, False)


class Lone(NamedTuple):
    """What `lend_lone` lent: the row as it is now, but `receive_count` without this receive.
    `finished`: the queue remembers its event as such."""

    row: Row
    finished: bool


class Moved(NamedTuple):
    """A row that goes to another queue, as given; `source` is the queue to remember."""

    row: Row
    to: QueueRow
    source: int | None


class CauseRow(NamedTuple):
    """What letters of a queue died of, as stored; `name` is `Cause.id`, `queue` where they lie,
    `letters` how many."""

    number: int
    queue: int
    name: str
    source: str
    handler: str | None
    error: str | None
    place: str | None
    reason: str
    letters: int


class CauseEnds(NamedTuple):
    """The first and the last letter of a cause: when they died, and the id of the last. `trend` is
    how many died in each hour (epoch hours) that was asked for, if any did."""

    first_at: float
    last_at: float
    sample: str
    trend: dict[int, int]
