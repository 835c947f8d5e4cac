"""A copy of all files of a broker, as they were at one moment."""

from collections.abc import Callable
from pathlib import Path

from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.files import path_of
from taskflow.brokers.sharded.shard import locked
from taskflow.brokers.sharded.shards import Shards
from taskflow.errors import BrokerUnavailable
from taskflow.stores.sqlite.file_copy import back_up_all


class FilesBackup:
    """All are locked while the moment is fixed, so that no change of several files is in a part of
    them, and no event in two or in none; they are copied when others write on."""

    def __init__(self, course: Course, shards: Shards) -> None:
        self._course = course
        self._shards = shards

    def back_up(self, to: Path) -> None:
        """As `broker.backup.Backup`; the other files are named after the first."""
        course, count = self._course, self._course.map.shards

        def lock_and(take: Callable[[], None]) -> None:
            if course.map.shards != count:
                raise BrokerUnavailable("the number of files was just changed: repeat the backup")
            locked(self._shards[:count], take, durable=False)

        def at_once(take: Callable[[], None]) -> None:
            course.steady(lambda: lock_and(take))

        numbers = range(count)
        back_up_all(
            [path_of(course.leader, number) for number in numbers],
            [path_of(to, number) for number in numbers],
            at_once,
        )
