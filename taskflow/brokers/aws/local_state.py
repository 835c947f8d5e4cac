"""LocalState: the state of the AWS broker in a stored broker, for the processes of one machine."""

from taskflow.brokers.stored.broker import StoredBroker


class LocalState:
    """The contract is `state.State`. Thread-safe."""

    def __init__(self, broker: StoredBroker) -> None:
        self._broker = broker
        self.apply = broker.apply
        self.records = broker.records
        self.list_records = broker.list_records
        self.count_records = broker.count_records
        self.wait_record = broker.wait_record
        self.wait_records = broker.wait_records
        self.holders, self.secure = broker.holders, broker.secure
        self.upkeep = broker.upkeep
        self.wake = broker.wake
        self.close = broker.close

    def was_applied(self, id: str) -> bool:
        now = self._broker.clock.now()
        return self._broker.store.look(lambda rows: rows.records.applied(id, now)) is not None
