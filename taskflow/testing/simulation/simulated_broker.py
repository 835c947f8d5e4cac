"""The broker of a simulation: the one in memory, with faults before and after its verbs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change, Publish, Send
from taskflow.message import Message
from taskflow.testing.simulation.due_pages import DuePages
from taskflow.testing.simulation.foreground import Foreground

_QUIET = (
    "wake",
    "watch",
    "attend",
    "look_away",
    "close",
    "hurry",
    "together",
    "gathered",
)
Around = Callable[[str, Sequence[Any], Callable[[], Any]], Any]
Delayed = Callable[[str, Sequence[Message]], Sequence[Message]]


@dataclass(frozen=True, slots=True)
class Published:
    """An event that the broker took, at `at` (epoch seconds), for queues or for nobody."""

    topic: str
    id: str
    body: str
    at: float

    @property
    def payload(self) -> Any:
        """What was published, as JSON has it; of a body without an envelope, the body."""
        try:
            found = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return self.body
        return found.get("data") if isinstance(found, dict) and "specversion" in found else found


class SimulatedBroker:
    """Used where a Broker is. `around` surrounds each verb, `delayed` says how messages leave;
    both are None while nothing can befall them. `outbox` are the events that it took.

    `quiet`: nothing ever will. `first_due`: a verb that it has beside those of `broker`.
    `foreground` does what it can in the place of `broker`.
    """

    def __init__(
        self,
        broker: Broker,
        first_due: Callable[[str], float | None],
        quiet: bool,
        foreground: Foreground | None = None,
    ) -> None:
        self._broker = broker
        self._quiet = quiet
        self.outbox: list[Published] = []
        self.around: Around | None = None
        self.delayed: Delayed | None = None
        self.changed = True
        """Records may be due at other times since somebody set it to False."""
        self._notes = {"publish": self._published, "apply": self._applied}
        for name in dir(broker):
            if name.startswith("_"):
                continue
            found = getattr(broker, name)
            verb = callable(found) and name not in _QUIET
            if foreground is not None and callable(found):
                found = foreground.verb(name, found)
            if name == "list_records":
                found = self._due = DuePages(found)
            setattr(self, name, self._watched(name, found) if verb else found)
        if foreground is not None:
            first_due = foreground.verb("first_due", first_due)
        self.first_due = self._watched("first_due", first_due)

    @property
    def whole(self) -> Broker:
        """Itself, for whoever wants a Broker."""
        return cast(Broker, self)

    def look_again(self) -> None:
        """What is known of what is due may be over."""
        self._due.forget()
        self.changed = True

    def _watched(self, name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        note, delay = self._notes.get(name), _DELAYS.get(name)

        def noted(*args: Any, **named: Any) -> Any:
            answer = verb(*args, **named)
            if note is not None:
                note(args, answer)
            return answer

        done = verb if note is None else noted
        if self._quiet:
            return done

        def call(*args: Any, **named: Any) -> Any:
            if self.around is None:
                return done(*args, **named)  # before the simulation begins
            if delay is not None and self.delayed is not None:
                args = delay(self.delayed, *args)
            return self.around(name, args, partial(done, *args, **named))

        return call

    # ---- what was sent ------------------------------------------------------------------------
    def _published(self, args: Sequence[Any], answer: object) -> None:
        topic, messages = args
        now = self._broker.clock.now()
        self.outbox += [Published(topic, one.id, one.body, now) for one in messages]

    def _applied(self, args: Sequence[Any], answers: Sequence[Applied]) -> None:
        for change, answer in zip(args[0], answers, strict=True):
            if answer.refused is not None:
                continue
            if self._due.applied(change):
                self.changed = True
            if change.sends and not answer.repeated:
                for one in change.sends:
                    if isinstance(one, Publish):
                        self._published((one.topic, one.messages), None)


def _later(delayed: Delayed, where: str, messages: Sequence[Message]) -> tuple[Any, ...]:
    return where, delayed(where, messages)


def _later_changes(delayed: Delayed, changes: Sequence[Change], *more: Any) -> tuple[Any, ...]:
    return [_later_change(delayed, one) for one in changes], *more


def _later_change(delayed: Delayed, change: Change) -> Change:
    if not change.sends:
        return change
    sends: list[Send | Publish] = []
    for one in change.sends:
        if isinstance(one, Send):
            sends.append(Send(one.queue, delayed(one.queue, one.messages)))
        else:
            sends.append(Publish(one.topic, delayed(one.topic, one.messages)))
    return msgspec.structs.replace(change, sends=sends)


_DELAYS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "publish": _later,
    "send": _later,
    "apply": _later_changes,
}
