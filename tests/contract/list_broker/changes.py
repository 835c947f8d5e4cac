"""Changes: `apply` over lists, for messages."""

import threading
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from taskflow.broker.change import Applied, Change, Publish, Settlement
from taskflow.broker.settings import Sent
from taskflow.broker.traffic import Traffic
from taskflow.errors import BrokerError, LeaseLost, LimitExceeded
from taskflow.limits import check_no_connection
from tests.contract.list_broker.tables import Tables


class Changes:
    """Makes changes, and remembers those that have an id. `changed` is the broker's lock."""

    def __init__(
        self,
        traffic: Traffic,
        tables: Tables,
        changed: threading.Condition,
        settle: Callable[[Settlement], bool],
    ) -> None:
        self._traffic = traffic
        self._tables = tables
        self._changed = changed
        self._settle = settle
        self._made: dict[str, tuple[float, Applied]] = {}

    def apply(
        self,
        changes: Sequence[Change],
        durable: bool = True,
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Applied]:
        """One after another; lists are never on a disk, so that `durable` asks for nothing."""
        check_no_connection(connection, "a broker over lists")
        return [self._apply(change) for change in changes]

    def _apply(self, change: Change) -> Applied:
        with self._changed:
            now = self._traffic.clock.now()
            until, before = self._made.get(change.id or "", (now, Applied()))
            if until > now:
                return replace(before, repeated=True)
            try:
                with self._tables.undone_by_errors():
                    made = self._make(change)
            except BrokerError as error:
                return Applied(refused=error)
            if change.id is not None:
                self._made[change.id] = now + change.remembered, made
            return made

    def _make(self, change: Change) -> Applied:
        if change.keys or change.records or change.counters:
            raise LimitExceeded("this broker has no runs, so no keys, records and counters")
        fence = change.fence
        if fence is not None and self._traffic.leases([fence])[0] in ("stale", "gone"):
            raise LeaseLost(f"message {fence.id!r} of queue {fence.queue!r} is no longer held")
        sent: list[Sequence[Sent]] = [
            self._traffic.publish(one.topic, one.messages).sent
            if isinstance(one, Publish)
            else self._traffic.send(one.queue, one.messages)
            for one in change.sends
        ]
        return Applied(sent=sent, settled=[self._settle(one) for one in change.settlements])
