"""Plans of tasks, as an editor sees them: what a part takes from the one before is not checked."""

from typing import reveal_type

from taskflow import chain, chord, group, task


@task
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


reveal_type(add.s(1))  # is: Call
reveal_type(add.si(1, y=2))  # is: Call
reveal_type(add.s(1) | add.s(2))  # is: Chain
reveal_type(chain(add.s(1, 2), add.s(3)).delay())  # is: Result[Any]
reveal_type(group(add.s(i, i) for i in range(10)))  # is: Group
reveal_type(add.map([1, 2], limit=2).delay().get())  # is: Any
reveal_type(chord(group(add.s(1), add.s(2)), total.s()).delay(id="plan"))  # is: Result[Any]
add.si("x")  # error: arg-type, reportArgumentType
add.si(1, 2, 3)  # error: call-arg, reportCallIssue
chain(add, add.s(1))  # error: arg-type, reportArgumentType
chain(1, 2)  # error: arg-type, arg-type, reportArgumentType, reportArgumentType
group([add.s(1)], limit="2")  # error: arg-type, reportArgumentType
group(add.s(1), errors="ignore")  # error: arg-type, reportArgumentType
