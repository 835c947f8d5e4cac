"""A task with the options of its next calls."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.outgoing import check_may_join, collecting
from taskflow.placing import new_place
from taskflow.publisher import broker_of
from taskflow.registry import Registry, default_registry
from taskflow.tasks.call_options import Checked
from taskflow.tasks.parameters import Parameters
from taskflow.tasks.preparing import Prepared, Target, prepare, queue_of
from taskflow.tasks.priorities import check_priorities
from taskflow.tasks.result import Result
from taskflow.tasks.submitting import AT_ONCE, submit, submit_many
from taskflow.telemetry.tracing import sending

P = ParamSpec("P")
R = TypeVar("R")


class Calling(Generic[P, R]):
    """Made by `Task.options`; calls as the task itself does, with these options. `parameters` None:
    the function is not here, and what it takes is not known."""

    def __init__(
        self,
        target: Target,
        parameters: Parameters | None,
        options: Checked,
        registry: Registry = default_registry,
    ) -> None:
        self._target = target
        self._parameters = parameters
        self._options = options
        self._registry = registry

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """As `Task.delay`. Raises RunExists and KeyTaken too (`CallOptions`)."""
        return self._submit(broker_of(None, self._registry), args, kwargs)

    async def delay_async(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """`delay`, without holding up the event loop."""
        return await asyncio.to_thread(self.delay, *args, **kwargs)

    def send_many(self, calls: Iterable[Any], *, broker: Broker | None = None) -> list[Result[R]]:
        """As `Task.send_many`. Raises ValueError for an id or a key: they are of one call."""
        if self._options.id is not None or self._options.key is not None:
            raise ValueError("send_many makes many runs, and an id or a key is of one")
        broker = broker_of(broker, self._registry)
        if self._options.keyed:  # each may be one that is there already
            return [self._submit(broker, *_given(one)) for one in calls]
        with sending(queue_of(self._target, self._options), 0):
            ids = list(submit_many(broker, self._prepare_all(broker, calls), self._options))
        return [self._result(broker, id) for id in ids]

    async def send_many_async(
        self, calls: Iterable[Any], *, broker: Broker | None = None
    ) -> list[Result[R]]:
        """`send_many`, without holding up the event loop: a thread iterates over the calls."""
        return await asyncio.to_thread(self.send_many, calls, broker=broker)

    @overload  # a parameter `timeout` of the function itself cannot be given by this name
    def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, *args: Any, timeout: float | None, **kwargs: Any) -> R: ...
    def call(  # type: ignore[misc]
        self, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> R:
        """As `Task.call`; the result is kept for as long as that takes, if it is not anyway. Raises
        ValueError for a connection: nobody sees the call before that commits."""
        return self._keeping(timeout).delay(*args, **kwargs).get(timeout)

    @overload
    async def call_async(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call_async(self, *args: Any, timeout: float | None, **kwargs: Any) -> R: ...
    async def call_async(  # type: ignore[misc]
        self, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> R:
        """`call`, without holding up the event loop."""
        result = await self._keeping(timeout).delay_async(*args, **kwargs)
        return await result.get_async(timeout)

    def _keeping(self, timeout: float | None) -> "Calling[..., R]":
        """As this, with a result that is kept for as long as `call` may take."""
        if self._options.connection is not None:
            raise ValueError(
                "call waits for the result, and connection= for your commit: use delay"
            )
        if self.keeps:
            return self
        kept = msgspec.structs.replace(self._options, keep=60.0 + (timeout or 3600.0))
        return Calling(self._target, self._parameters, kept, self._registry)

    def prepare(
        self,
        broker: Broker,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        first_at: float | None = None,
        place: int | None = None,
    ) -> Prepared:
        """The call as what it stores, one of those whose first was made then; `place` as in
        `prepare`. Raises as `delay` does."""
        target, parameters, options = self._target, self._parameters, self._options
        slot = None
        if parameters is not None:
            parameters.check(target.name, args, kwargs)
            replaced = options.debounce or options.on_key == "replace"  # pays for nothing before
            if target.flow is not None and broker.features.limits and not replaced:
                slot = target.flow.slot(target.name, parameters, args, kwargs)
            if options.key_by:
                key = parameters.key(target.name, options.key_by, args, kwargs)
                options = msgspec.structs.replace(options, key=key)
        if options.priority is not None:
            check_priorities(broker)
        given, named = json.encode_arguments(args, kwargs)
        if options.connection is not None:
            check_may_join()
        elif options.id is None and (out := collecting(broker)) is not None:
            options = msgspec.structs.replace(options, id=out.new_id(target.name))
        return prepare(
            target,
            given,
            named,
            options,
            broker.clock.now(),
            broker.random,
            broker.max_message_bytes,
            slot=slot,
            first_at=first_at,
            place=new_place(broker) if place is None else place,
        )

    def _submit(self, broker: Broker, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result[R]:
        with sending(queue_of(self._target, self._options)):
            call = self.prepare(broker, args, kwargs)
            again = partial(self.prepare, broker, args, kwargs)
            id, created = submit(broker, call, self._options, again)
        return self._result(broker, id, created, call.put is not None)

    def _prepare_all(self, broker: Broker, calls: Iterable[Any]) -> Iterator[Prepared]:
        place: int | None = None
        for at, one in enumerate(calls):
            if at % AT_ONCE == 0:
                place = new_place(broker, many=True)
            yield self.prepare(broker, *_given(one), place=place)

    def _result(
        self, broker: Broker, id: str, created: bool = True, kept: bool | None = None
    ) -> Result[R]:
        returns = Any if self._parameters is None else self._parameters.returns
        kept = self.keeps if kept is None else kept
        return Result(id, broker=broker, returns=returns, created=created, kept=kept)

    @property
    def keeps(self) -> bool:
        """Whether its calls keep a result."""
        keep = self._options.keep
        return bool(self._target.keep if keep is None else keep)


def _given(one: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """A call of `send_many` as its arguments, by place and by name."""
    if isinstance(one, tuple):
        return one, {}
    return ((), one) if isinstance(one, dict) else ((one,), {})
