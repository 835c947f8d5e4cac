"""What may be said of a whole plan."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from taskflow.durations import Duration
from taskflow.limits import check_id
from taskflow.tasks.call_options import keep_of

if TYPE_CHECKING:
    from taskflow.tasks.canvas.call import Call

DEFAULT_KEEP = 86400.0


class PlanOptions(TypedDict, total=False):
    """`plan.delay(…)`. `id`: of the run that stands for the plan. `result`: how long it is kept
    after its end with all its parts, a day by default. `on_error`: a call that is made once if the
    plan fails, with a dict that says what went wrong before its own arguments (`si`: without
    it)."""

    id: str
    result: Duration
    on_error: "Call"


class CheckedPlan(msgspec.Struct, frozen=True):
    """Options of a plan, as they are used."""

    id: str | None = None
    keep: float = DEFAULT_KEEP
    on_error: Any = None


def check_plan_options(given: Mapping[str, Any]) -> CheckedPlan:
    """Options as they were given. Raises TypeError for one that nobody knows, ValueError for a
    value that cannot be."""
    from taskflow.tasks.canvas.call import Call

    if unknown := [name for name in given if name not in PlanOptions.__annotations__]:
        known = ", ".join(PlanOptions.__annotations__)
        raise TypeError(f"a plan does not know {', '.join(map(repr, unknown))}; it knows {known}")
    id, on_error = given.get("id"), given.get("on_error")
    if id is not None:
        check_id(id)
    if on_error is not None and not isinstance(on_error, Call):
        raise ValueError(f"on_error is {on_error!r}; a call is wanted: task.s()")
    keep = keep_of("result", given["result"]) if "result" in given else DEFAULT_KEEP
    if not keep:
        raise ValueError("a plan keeps its results while it runs; result= is a duration")
    return CheckedPlan(id, keep, on_error)
