"""`GroupResult`: what became of the members of a group."""

from collections.abc import Iterator, Sequence
from typing import Any

from taskflow.celery.async_result import AsyncResult
from taskflow.errors import RunCancelled, RunExpired, RunFailed
from taskflow.tasks.canvas.links import member_id


class GroupResult(AsyncResult):
    """The members' results, in order: `join` and `get` answer the list of what they returned."""

    def __init__(
        self, id: str, results: Sequence[AsyncResult] | None = None, *, app: Any = None
    ) -> None:
        super().__init__(id, app=app)
        self._results = None if results is None else list(results)

    @classmethod
    def restore(cls, id: str) -> "GroupResult | None":
        """A group's result again, by its id; None when it is not there (any more)."""
        found = cls(id)
        row = found._row()
        place = None if row is None else row.run.place
        return None if place is None or place.members is None else found

    @property
    def results(self) -> list[AsyncResult]:
        """One for each member."""
        if self._results is None:
            row = self._row()
            place = None if row is None else row.run.place
            members = None if place is None else place.members
            self._results = []
            if place is not None and members is not None:
                numbers = range(members.first, members.first + members.size)
                ids = [member_id(place.root, number) for number in numbers]
                self._results = [AsyncResult(id, app=self.app) for id in ids]
        return self._results

    @property
    def children(self) -> list[AsyncResult]:
        """The members."""
        return self.results

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        disable_sync_subtasks: bool = True,
        **_: Any,
    ) -> list[Any]:
        """What the members returned, once all have ended; without `propagate` the exceptions of
        those that raised are in the list. Raises as `AsyncResult.get`, for the first that failed;
        for all of it when what comes before the group has failed."""
        try:
            values: list[Any] = self.native.get(timeout, allow_wait=not disable_sync_subtasks)
            return values
        except (RunFailed, RunExpired, RunCancelled):
            ended = [one for one in self.results if one.ready()]
        if len(ended) < len(self.results):
            return [super().get(0, propagate, disable_sync_subtasks)]
        return [one.get(0, propagate, disable_sync_subtasks) for one in ended]

    get = join
    join_native = join

    def waiting(self) -> bool:
        """Whether a member has not ended."""
        return not self.ready()

    def failed(self) -> bool:
        """Whether one has failed."""
        return any(one.failed() for one in self.results)

    def completed_count(self) -> int:
        """How many have returned."""
        return sum(one.successful() for one in self.results)

    def save(self) -> None:
        """Nothing is to be done: `restore` knows it by its id."""

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[AsyncResult]:
        return iter(self.results)

    def __getitem__(self, at: int) -> AsyncResult:
        return self.results[at]

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id}>"
