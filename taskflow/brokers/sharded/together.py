"""Several verbs one after the other, where nobody may wait, over several files."""

from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from functools import partial
from typing import Any

from taskflow.broker.prompt import Outcome, PartlyUnsafe, WouldWait
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.hub import Hub
from taskflow.brokers.sharded.shard import Shard
from taskflow.errors import FileReplaced
from taskflow.stores.sqlite.gathering import Gathering
from taskflow.uninterrupted import uninterrupted


class Together:
    """Those that come one after the other in one file are one transaction there, which is committed
    before another file is changed: who holds one file while it wants another waits for who holds
    that and wants this one, so eight processes over eight files did an eighth of what one did. (A
    verb of several files locks them in order, and all is committed after it.) When the files have
    another map than the one it goes by nothing is done, and it is as if something had to be waited
    for: whoever may looks for the new one."""

    def __init__(self, course: Course, shards: Sequence[Shard], hub: Hub) -> None:
        self._course = course
        self._shards = shards
        self._hub = hub

    @uninterrupted
    def gathered(
        self, verbs: Sequence[Callable[[], Any]], patience: float | None = None
    ) -> tuple[list[Outcome], Callable[[], None] | None]:
        """As `taskflow.broker.prompt.Gathered`."""
        parts = [shard.store.gathering(patience) for shard in self._shards]
        with self._hub.waiters.keeping():
            round = _Round(parts, self._course.once)
            outcomes = round.run(verbs)
        if all(part.wait is None for part in parts):
            return outcomes, None
        return outcomes, partial(_wait, [part.wait for part in parts], round.stands_on)


class _Round:
    """One call of `gathered`."""

    def __init__(
        self,
        parts: Sequence[Gathering],
        once: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._parts = parts
        self._once = once
        self._outcomes: list[Outcome] = []
        self.stands_on: list[Set[int]] = []
        """The files that each verb may have changed; of one that only looked, those in which it may
        have seen what others of the round did."""
        self._rests_on: list[list[int]] = [[] for _ in parts]
        """Of each file, the verbs whose changes there are not committed, or that may have seen
        them."""
        for number, part in enumerate(parts):
            part.begins = partial(self._leave_others, number)

    def run(self, verbs: Sequence[Callable[[], Any]]) -> list[Outcome]:
        """Call them."""
        try:
            with ExitStack() as stack:
                for part in self._parts:
                    stack.enter_context(part)
                self._call(verbs)
        except Exception as error:  # such as WouldWait, for a lock that is not to be had now
            return [(None, error)] * len(verbs)
        except BaseException as error:
            try:
                self._abandon(error)
            finally:
                self._abandon(error)  # Ctrl-C may have come once more
            raise
        finally:
            for part in self._parts:  # else each round were a cycle, for the collector to find
                part.begins = None
        return self._outcomes

    def _abandon(self, error: BaseException) -> None:
        for part in self._parts:
            part.abandon(error)

    def _call(self, verbs: Sequence[Callable[[], Any]]) -> None:
        for at, verb in enumerate(verbs):
            for part in self._parts:
                part.begin_call()
            try:
                self._outcomes.append((self._once(verb), None))
            except Exception as error:
                self._outcomes.append((None, error))
            touched = [number for number, part in enumerate(self._parts) if part.touched()]
            self.stands_on.append({*touched} or self._fresh())
            for number, part in enumerate(self._parts):
                if part.rests():
                    self._rests_on[number].append(at)
            reason = self._outcomes[at][1]
            if isinstance(reason, WouldWait | FileReplaced):  # as if it had not come yet
                for number in reversed(touched):
                    self._end_part(number, reason)
            elif any(self._parts[number].broken() for number in touched):
                self._end(reason)
            elif len(touched) > 1:
                self._end()
        self._end()

    def _fresh(self) -> Set[int]:
        """The files that were changed in this round."""
        return {
            number
            for number, part in enumerate(self._parts)
            if part.rests() or part.wait is not None
        }

    def _leave_others(self, number: int) -> None:
        """A file is about to be changed: let others have those that earlier verbs changed."""
        for other, part in enumerate(self._parts):
            if other != number and part.rests() and not part.touched():
                self._end_part(other, None)

    def _end(self, error: Exception | None = None) -> None:
        """Commit, the last file first, as `shard.locked` does; when one cannot be, undo the rest:
        it may be of a change that is all or nothing."""
        for number in reversed(range(len(self._parts))):
            if self._rests_on[number] or self._parts[number].rests():
                error = self._end_part(number, error)

    def _end_part(self, number: int, error: Exception | None) -> Exception | None:
        """Answers why what was changed there is not, if so."""
        try:
            self._parts[number].end_part(error)
        except Exception as failed:
            error = error or failed
        verbs, self._rests_on[number] = self._rests_on[number], []
        if error is not None:
            for at in verbs:
                if at < len(self._outcomes) and self._outcomes[at][1] is None:
                    self._outcomes[at] = (None, error)
        return error


def _wait(waits: Sequence[Callable[[], None] | None], stands_on: Sequence[Set[int]]) -> None:
    """Wait for each file. Raises what the verbs are told that stand on one for which it failed."""
    failed: dict[int, Exception] = {}
    for number, wait in enumerate(waits):
        try:
            if wait is not None:
                wait()
        except Exception as error:
            failed[number] = error
    if not failed:
        return
    errors = [
        next((failed[number] for number in sorted(files & failed.keys())), None)
        for files in stands_on
    ]
    if len(errors) == 1:
        raise errors[0] or next(iter(failed.values()))
    if any(errors):
        raise PartlyUnsafe(errors)
