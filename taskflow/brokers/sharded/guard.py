"""What a store may open: the file that is wanted, and no other in its place."""

from taskflow.brokers.sharded.shard_map import ShardMap, read_map
from taskflow.errors import BrokerFileError
from taskflow.stores.rows import Rows


class Guard:
    """What a store accepts (`SqliteStore`): the file that was expected, or else the first one that
    was opened, and no other in its place."""

    def __init__(self, what: str, expected: ShardMap | None = None) -> None:
        self._what = what
        self._knows = expected is not None
        self.map = expected

    def __call__(self, rows: Rows) -> None:
        found = read_map(rows)
        if not self._knows:
            self.map, self._knows = found, True
        elif reason := _difference(found, self.map):
            raise BrokerFileError(f"{self._what} {reason}")


def _difference(found: ShardMap | None, expected: ShardMap | None) -> str:
    """Why it is not the file that is wanted; empty when it is."""
    if expected is None:
        return "" if found is None else "is now a broker of several files: restart this process"
    if found is None:
        return (
            f"does not say that it is file {expected.number} of a broker of {expected.shards}: it "
            "is another one, or an older copy"
        )
    if found.broker != expected.broker:
        return "is a file of another broker"
    if found.number != expected.number:
        return f"is file {found.number} of this broker, and should be file {expected.number}"
    return ""
