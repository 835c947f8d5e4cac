"""The files of a broker, as many as there are now."""

from typing import SupportsIndex, overload

from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.shard import Shard


class Shards(list[Shard]):
    """By number. One that is not there any more, or not known yet, is none of the map that whoever
    asks went by: MapChanged."""

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> Shard: ...
    @overload
    def __getitem__(self, at: slice, /) -> list[Shard]: ...

    def __getitem__(self, at: SupportsIndex | slice, /) -> Shard | list[Shard]:
        try:
            return super().__getitem__(at)
        except IndexError:
            raise MapChanged from None
