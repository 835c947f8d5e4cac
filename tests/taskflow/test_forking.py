"""Who is told of a fork, and in which order."""

from random import Random

from taskflow import forking


class Noting:
    def __init__(self, number: int, seen: list[int]) -> None:
        self.number = number
        self.seen = seen

    def before_fork(self) -> None:
        self.seen.append(self.number)

    def after_fork(self, child: bool) -> None:
        assert not child
        self.seen.append(-self.number)


def test_who_was_here_first_is_told_first() -> None:
    """As threads lock several files: in another order they and a fork would wait for each other."""
    seen: list[int] = []
    made = [Noting(0, seen) for _ in range(100)]
    Random(1).shuffle(made)  # where they lie says nothing
    for number, one in enumerate(made, 1):
        one.number = number
        forking.tell(one)
    del made[::3]
    kept = [one.number for one in made]
    del one
    forking._before()
    forking._after_in_parent()
    assert seen == kept + [-number for number in reversed(kept)]
