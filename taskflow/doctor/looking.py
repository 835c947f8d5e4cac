"""Looking at a broker for the rules, by its own verbs; nothing is changed or received."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from taskflow.broker import Broker
from taskflow.broker.record import RecordQuery
from taskflow.broker.rights import Rights
from taskflow.broker.shared_time import SharedTime
from taskflow.doctor.facts import Facts, QueueFacts
from taskflow.doctor.wanted_rights import wanted_rights
from taskflow.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigError,
    QueueNotFound,
    TopicNotFound,
)
from taskflow.registry import Registry
from taskflow.scheduling.schedule import Schedule, shown
from taskflow.scheduling.stored import SCHEDULE
from taskflow.tasks.run import RUN
from taskflow.topology import compare

T = TypeVar("T")
HEARD_OF = 300.0
"""Seconds within which a worker must have reported to be asked after."""


def look(
    broker: Broker,
    registry: Registry,
    scheme: str,
    options: Mapping[str, str],
    region: str | None = None,
) -> Facts:
    """What a broker tells; `scheme`, `options` and `region` are of its address. What it refuses to
    tell (rights on AWS) is noted, and the rest is looked at. Raises BrokerUnavailable when it tells
    nothing at all."""
    looking = _Looking()
    own_now = broker.clock.now()
    now = broker.now() if isinstance(broker, SharedTime) else own_now
    queues = looking.at(partial(_queues, broker), dict[str, QueueFacts]())
    if looking.untold:  # it may tell of some queues
        for name in looking.at(broker.queues, list[str]()):
            queues |= looking.at(partial(_queues, broker, [name]), dict[str, QueueFacts]())
    denied: Mapping[str, Sequence[str]] | None = {}
    unsimulated = ""
    if isinstance(broker, Rights):
        try:
            wanted = wanted_rights(registry, broker.account(), region, options)
            denied = broker.denied(wanted)
        except (BrokerError, ConfigError) as error:
            denied, unsimulated = None, str(error)
    runs = broker.features.runs
    return Facts(
        registry=registry,
        scheme=scheme,
        options=options,
        now=now,
        own_now=own_now,
        queues=queues,
        topics=looking.at(broker.topics, []),
        subscriptions=looking.at(broker.subscriptions, []),
        differs=looking.at(
            lambda: [one.what for one in compare(broker, registry) if one.sign == "~"], []
        ),
        workers=looking.at(lambda: broker.workers(HEARD_OF), [])
        if broker.features.coordination
        else [],
        schedules=looking.at(lambda: list(_schedules(broker)), []) if runs else [],
        late_call=looking.at(lambda: _first_due(broker), None) if runs else None,
        moves=looking.at(broker.moves, []) if broker.features.moves else [],
        untold=list(looking.untold),
        denied=denied,
        unsimulated=unsimulated,
    )


class _Looking:
    """Asks; what is refused is noted once, and something else taken for it."""

    def __init__(self) -> None:
        self.untold: dict[str, None] = {}

    def at(self, ask: Callable[[], T], otherwise: T) -> T:
        try:
            return ask()
        except (QueueNotFound, TopicNotFound):  # it went just now; AWS lists such for a minute
            return otherwise
        except BrokerUnavailable as error:
            if "does not allow" not in str(error):
                raise
            self.untold[str(error)] = None
            return otherwise


def _queues(broker: Broker, names: Sequence[str] | None = None) -> dict[str, QueueFacts]:
    return {name: QueueFacts(*one) for name, one in broker.survey(names).items()}


def _schedules(broker: Broker) -> Iterator[Schedule]:
    after: str | None = None
    while True:
        page = broker.list_records(RecordQuery(kind=SCHEDULE, after=after, limit=1000))
        yield from map(shown, page.records)
        if (after := page.next) is None:
            return


def _first_due(broker: Broker) -> float | None:
    """Since when the first call is due that no message brings."""
    page = broker.list_records(RecordQuery(kind=RUN, states=("scheduled",), order="due", limit=1))
    return page.records[0].due_at if page.records else None
