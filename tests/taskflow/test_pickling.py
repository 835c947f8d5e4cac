"""What taskflow answers and raises may go to another process: as it was."""

import copy
import pickle  # noqa: TID251  # as `multiprocessing` does
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from taskflow import Broker, errors, publish
from taskflow.errors import HandlerInterrupt, TaskflowError
from taskflow.tasks.run import RunError

ERROR = RunError(type="ValueError", message="no")
MADE: dict[type[BaseException], tuple[Any, ...]] = {
    errors.RunFailed: ("r", "t", ERROR),
    errors.ScheduleNotFound: ("nightly",),
    errors.RunExists: ("r", "it is another call"),
    errors.StepFailed: ("pay", ERROR, ("ValueError",)),
    errors.TopicNotFound: ("order.create", ("order.created",)),
    errors.QueueNotFound: ("audi", ("audit",)),
    errors.VersionConflict: ("run", "r", 1, 2),
    errors.KeyTaken: ("k", "somebody", 9.0),
    errors.Retry: (3.0, "later"),
    errors.Reject: ("toxic",),
}
"""Those that are made of more than a text."""
ALL = [
    kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, TaskflowError) and not name.startswith("_")
]


def again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [*ALL, HandlerInterrupt])
def test_an_error_is_what_it_was(kind: type[BaseException], way: Callable[[Any], Any]) -> None:
    error = kind(*MADE.get(kind, ("what was wrong",)))
    error.add_note("seen in the shop")
    found = way(error)
    assert type(found) is kind
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy])
def test_an_id_says_still_how_many_it_reached(
    taskflow_broker: Broker, way: Callable[[Any], Any]
) -> None:
    taskflow_broker.create_queue("work")
    taskflow_broker.create_topic("made")
    taskflow_broker.subscribe("made", "work")
    id = publish("made", 1)
    found = way(id)
    assert (found, found.reached, type(found)) == (id, 1, type(id))


class Several(TaskflowError, ExceptionGroup[Exception]):
    """As a user may have it."""


class Missing(TaskflowError, OSError):
    """Likewise."""


@pytest.mark.parametrize("way", [again, copy.copy, copy.deepcopy])
def test_so_is_one_of_a_users_own_that_is_another_one_too(way: Callable[[Any], Any]) -> None:
    several = way(Several("two", [ValueError("a"), errors.Reject("b")]))
    assert [str(one) for one in several.exceptions] == ["a", "b"]
    missing = way(Missing(2, "no such file", "shop.db"))
    assert (missing.errno, missing.filename) == (2, "shop.db")
    assert str(missing) == "[Errno 2] no such file: 'shop.db'"


def fail() -> None:
    raise errors.RunFailed("r", "t", ERROR)


@pytest.mark.slow
def test_an_error_comes_out_of_a_process_pool() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        failed = pool.submit(fail).exception(30)
    assert isinstance(failed, errors.RunFailed)
    assert failed.run == "r"
