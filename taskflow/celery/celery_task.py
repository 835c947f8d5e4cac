"""A ported task: a function with `delay`, `apply_async` and, in its run, `self.request`."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

import msgspec

from taskflow import errors
from taskflow import payload as json
from taskflow.celery.async_result import AsyncResult
from taskflow.celery.call_words import moment, read_call, refused_attribute
from taskflow.celery.eager_result import EagerResult, run_eagerly
from taskflow.celery.exceptions import MaxRetriesExceededError
from taskflow.celery.groups import Group
from taskflow.celery.kombu_engine import KombuEngine
from taskflow.celery.not_ported import refuse
from taskflow.celery.request import Request, current_request, requested
from taskflow.celery.signatures import Signature
from taskflow.celery.task_handler import make_handler
from taskflow.celery.task_options import (
    MOST_RETRIES,
    TaskOptions,
    max_retries_of,
    native_options,
)
from taskflow.clock import epoch_seconds
from taskflow.publisher import default_broker
from taskflow.tasks.decorator import task as make_task

if TYPE_CHECKING:
    from taskflow.celery.celery_app import Celery

MOST_CHUNKS = 100_000  # items
_ELSEWHERE = {
    "replace": "Task.replace",
    "add_to_chord": "Task.add_to_chord",
    "start_strategy": "base",
    "Strategy": "base",
    "backend": "backend",
}


class CeleryTask:
    """Made by `app.task` and `shared_task`. A plain call calls the function, here and now. `native`
    is the same task of taskflow."""

    def __init__(
        self, app: "Celery", name: str, function: Callable[..., Any], options: TaskOptions
    ) -> None:
        functools.update_wrapper(cast(Any, self), function)
        self.app = app
        self.name = name
        self.function = function
        self.options = options
        self.max_retries = max_retries_of(options)
        self.default_retry_delay = options.default_retry_delay
        self.rate_limit = options.rate_limit
        self.native = make_task(registry=app.registry, **native_options(options, app.conf, name))(
            make_handler(self)
        )
        self.queue = self.native.target.queues[0]
        kombu = app.registry.engine("kombu", KombuEngine)
        kombu.queues.update(self.native.target.queues)

    # ---- calling ------------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, here and now."""
        request = Request(task=self.name, args=args, kwargs=kwargs)
        with requested(request):
            return self.run(*args, **kwargs)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with `self`, if it takes it."""
        if self.options.bind:
            return self.function(self, *args, **kwargs)
        return self.function(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call it through its queue."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult:
        """The same with options: countdown, eta, expires, queue, task_id, headers, link,
        link_error, ignore_result. Raises TypeError for arguments that it does not take, NotPorted
        for an option that is refused, and what `Task.delay` of taskflow does."""
        options = {"expires": self.options.expires, **options}
        if options.get("link") or options.get("link_error"):
            return Signature(self, args or (), kwargs, app=self.app).apply_async(**options)
        for name in ("link", "link_error"):
            options.pop(name, None)
        chosen = read_call(self.app, options)
        native = self.native.options(**cast(Any, chosen)).delay(*(args or ()), **(kwargs or {}))
        return AsyncResult(native.id, native=native, app=self.app)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        throw: bool = False,
    ) -> EagerResult:
        """Run it here and now, retries included, without waiting between them."""
        result = run_eagerly(self, tuple(args or ()), dict(kwargs or {}))
        if throw:
            result.get()
        return result

    def signature(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        immutable: bool = False,
        **options: Any,
    ) -> Signature:
        """The call as data, to be called later, or as a part of a canvas."""
        return Signature(self, args or (), kwargs, options, immutable=immutable, app=self.app)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """The call as data: what comes before it in a canvas is its first argument."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """The same with these arguments, whatever comes before."""
        return self.signature(args, kwargs, immutable=True)

    def map(self, values: Iterable[Any]) -> Group:
        """A group of calls, one for each value."""
        return Group(self.s(value) for value in values)

    def starmap(self, values: Iterable[Sequence[Any]]) -> Group:
        """A group of calls, one for each list of arguments."""
        return Group(self.s(*value) for value in values)

    def chunks(self, values: Iterable[Sequence[Any]], n: int) -> Group:
        """A group of groups of `n` calls each, one for each list of arguments."""
        items = list(values)
        if len(items) > MOST_CHUNKS:
            raise refuse("chunks of more than 100000", len(items))
        return Group(self.starmap(items[at : at + n]) for at in range(0, len(items), n))

    # ---- while it runs ------------------------------------------------------------------------
    @property
    def request(self) -> Request:
        """The call that runs; an empty one outside of a run."""
        return current_request(self.name)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> NoReturn:
        """End this attempt, and have the same message tried again: after `countdown` seconds, at
        `eta`, or after `default_retry_delay`. It raises: `raise self.retry(...)` says so to
        readers.
        After the last retry it raises `exc`, or MaxRetriesExceededError, and the message is a dead
        letter. Called directly there is nothing to try again: `exc` is raised.
        """
        request = self.request
        if options:
            raise refuse("retry with options", sorted(options))
        if not throw:
            raise refuse("retry(throw=False)")
        for given, had in ((args, request.args), (kwargs, request.kwargs)):
            if given is not None and msgspec.to_builtins(given) != msgspec.to_builtins(had):
                raise refuse("retry with other arguments")
        if request.called_directly:
            raise exc or errors.Retry(countdown, f"{self.name} was called directly")
        most = MOST_RETRIES if self.max_retries is None else self.max_retries
        if max_retries is not None and max_retries > most:
            raise errors.Reject(refuse("retry beyond max_retries", max_retries))
        most = most if max_retries is None else max_retries
        if request.retries >= most:
            raise exc or MaxRetriesExceededError(
                f"{self.name}[{request.id}] was tried {request.retries + 1} times"
            )
        if eta is not None:
            clock = default_broker().clock
            countdown = max(0.0, epoch_seconds("eta", moment(self.app, eta)) - clock.now())
        raise errors.Retry(countdown, f"{self.name} asked for a retry: {exc!r}") from exc

    def update_state(self, state: str | None = None, meta: Any = None) -> None:
        """Let AsyncResult show a state of the task's own, and `meta` as its info; of a dict with
        `current` and `total` they are taskflow's progress too."""
        context = self.request.context
        if context is not None:
            told = meta if isinstance(meta, Mapping) else {}
            done, total = told.get("current", 0), told.get("total")
            note = json.encode({"state": state, "meta": meta}).decode()
            context.progress(done, total, note)

    @property
    def AsyncResult(self) -> type[AsyncResult]:
        """`self.AsyncResult(id)`."""
        return AsyncResult

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute("Task", name, _ELSEWHERE)

    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"
