"""`task.apply()`: a run here and now, and what came of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskflow.celery import states
from taskflow.celery.exceptions import Ignore
from taskflow.celery.request import Request, requested
from taskflow.celery.task_options import policy_of
from taskflow.errors import Retry
from taskflow.message import new_id
from taskflow.publisher import default_broker
from taskflow.retry import describe

if TYPE_CHECKING:
    from taskflow.celery.celery_task import CeleryTask


class EagerResult:
    """What `apply` answers: it has ended already."""

    def __init__(self, id: str, value: Any, error: BaseException | None) -> None:
        self.id = id
        self.result = error if error is not None else value
        self._error = error
        self.state = states.SUCCESS if error is None else states.FAILURE
        self.traceback = None if error is None else describe(error)["traceback"]

    def get(self, timeout: float | None = None, propagate: bool = True, **_: Any) -> Any:
        """What the task returned. Raises what it raised, if `propagate`."""
        if propagate and self._error is not None:
            raise self._error
        return self.result

    def ready(self) -> bool:
        """Always."""
        return True

    def successful(self) -> bool:
        """Whether it returned."""
        return self._error is None

    def failed(self) -> bool:
        """Whether it raised."""
        return self._error is not None


def run_eagerly(task: "CeleryTask", args: Sequence[Any], kwargs: Mapping[str, Any]) -> EagerResult:
    """Run a task here, and again as often as it asks for it."""
    broker = default_broker()
    id = new_id(broker.clock.now(), broker.random)
    policy = policy_of(task.options)
    retries = 0
    while True:
        request = Request(
            id=id,
            task=task.name,
            retries=retries,
            args=args,
            kwargs=kwargs,
            root_id=id,
            called_directly=False,
            is_eager=True,
        )
        try:
            with requested(request):
                return EagerResult(id, task.run(*args, **kwargs), None)
        except Ignore:
            return EagerResult(id, None, None)
        except Exception as error:
            rule = policy.rule_for(error)
            if rule is None or retries >= rule.retries:
                cause = error.__cause__ if isinstance(error, Retry) else None
                return EagerResult(id, None, cause or error)
            retries += 1
