"""Messages that Celery sent: refused by name, and never decoded."""

from collections.abc import Collection, Sequence

from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.celery.not_ported import REFUSED
from taskflow.engine import Begins, Ended, Found
from taskflow.errors import BrokerError, Reject
from taskflow.event import Context, Event
from taskflow.message import Delivery
from taskflow.retry import Outcome

_BASE64 = ("eyJib2R5Ijog", "eyJib2R5Ijoi")  # {"body": in base64, with and without a space
_JSON = ('{"body": ', '{"body":"')
_SIGNS = ('"content-encoding"', '"content-type"', '"properties"')


def is_kombu(body: str) -> bool:
    """Whether a body is a message as kombu writes it, by its looks."""
    if body.startswith(_BASE64):
        return True
    return body.startswith(_JSON) and all(sign in body for sign in _SIGNS)


class KombuEngine:
    """Takes them on the `queues` of ported tasks, and buries each."""

    def __init__(self) -> None:
        self.queues: set[str] = set()

    def takes(self, delivery: Delivery) -> bool:
        """Whether it is one."""
        return delivery.queue in self.queues and is_kombu(delivery.body)

    def find(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> list[Found]:
        """Nobody handles them."""
        why = f"a message of Celery (kombu): {REFUSED['kombu message']}"
        return [Found(None, refusal=Reject(why)) for _ in deliveries]

    def context(
        self, found: Found, delivery: Delivery, begins: Begins, broker: Broker | None
    ) -> Context:
        """A context without a payload."""
        event = Event(
            topic="",
            payload=None,
            id=delivery.id,
            time=delivery.sent_at,
            attempt=delivery.receive_count,
        )
        return Context(
            event,
            delivery.queue,
            begins.handler,
            delivery.receive_count,
            begins.deadline,
            begins.logger,
            delivery,
        )

    def begin(self, found: Found, broker: Broker | None) -> None:
        """None of them runs."""

    def value(self, found: Found, value: object) -> object:
        """Nothing is returned."""
        return None

    def failed(self, found: Found, outcome: Outcome) -> Outcome:
        """It is as it was decided."""
        return outcome

    def is_plain(self, found: Found, outcome: Outcome) -> bool:
        """The broker's own verb does."""
        return True

    def settle(
        self, broker: Broker, ended: Ended, refused: BrokerError | None = None
    ) -> Change | None:
        """Nothing more is to be done."""
        return None

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Code says nothing of them."""

    def tend(self, broker: Broker, worker: str) -> float | None:
        """Nothing is due."""
        return None

    def watch(self, broker: Broker, running: Sequence[Found]) -> Sequence[Found]:
        """Nothing runs."""
        return []
