"""What a plan is made of."""

from typing import TYPE_CHECKING, Any, Unpack

from taskflow.broker import Broker
from taskflow.publisher import broker_of
from taskflow.tasks.canvas.plan_options import PlanOptions, check_plan_options

if TYPE_CHECKING:
    from taskflow.tasks.canvas.chain import Chain
    from taskflow.tasks.result import Result


class Node:
    """A call, a chain or a group: plain data, which may be put together, and run as often as you
    like. `a | b` runs b when a is done, with what a returned as its first argument."""

    def __or__(self, other: "Node") -> "Chain":
        """This, then the other."""
        from taskflow.tasks.canvas.chain import chain

        if not isinstance(other, Node):
            return NotImplemented
        return chain(self, other)

    def delay(
        self, *, broker: Broker | None = None, **options: Unpack[PlanOptions]
    ) -> "Result[Any]":
        """Store the plan and start it, in one transaction; returns at once. The result is that of
        its last part: a list, in order, for a group. Raises ValueError for an option that cannot
        be, LimitExceeded for a plan that is too large, BrokerUnavailable; nothing is stored then.
        """
        from taskflow.tasks.canvas.planting import plant

        return plant(self, broker_of(broker), check_plan_options(options))
