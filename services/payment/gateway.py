"""Payment gateways: whoever turns cards into tokens, and charges either.

The one here is a test gateway: no real network is behind it (`cards` has its numbers). A real one
is a factory named by PAYMENT_GATEWAY, such as `shop.stripe:gateway`.
"""

import hashlib
import importlib
import re
from collections.abc import Callable
from typing import Protocol

from services.payment.cards import Brand, Card, Decline, decline_of
from taskflow.errors import ConfigError

TEST = "test"
_TOKEN = re.compile(r"tok_test_([a-z_]+)")


class Gateway(Protocol):
    """Whoever charges. Thread-safe."""

    def tokenise(self, card: Card) -> str:
        """A token that stands for the card; may be stored, and tells nothing of its number."""
        ...

    def charge(
        self, source: Card | str, amount_cents: int, currency: str, key: str
    ) -> tuple[str, Decline | None]:
        """Charge a card, or what a token stands for: a reference of the charge, and why it was
        declined. `key` makes it idempotent: whatever is asked again under it is answered as the
        first time, and charged once."""
        ...

    def refund(self, reference: str, amount_cents: int, key: str) -> None:
        """Give a charge back. Idempotent by `key`."""
        ...

    @property
    def default_method(self) -> tuple[Brand, str, str] | None:
        """Brand, last digits and token of a method that stands for customers who never saved one;
        None when such customers cannot pay."""
        ...


class TestGateway:
    """Approves and declines by the number of the card. Its tokens say which of the two."""

    __test__ = False  # pytest: not one of yours

    def __init__(self, default_method: bool = True) -> None:
        self._default = default_method

    def tokenise(self, card: Card) -> str:
        decline = decline_of(card.number)
        return f"tok_test_{decline.value if decline else 'approved'}"

    def charge(
        self, source: Card | str, amount_cents: int, currency: str, key: str
    ) -> tuple[str, Decline | None]:
        return f"ch_test_{hashlib.sha256(key.encode()).hexdigest()[:24]}", self._decide(source)

    @staticmethod
    def _decide(source: Card | str) -> Decline | None:
        if isinstance(source, Card):
            return decline_of(source.number)
        found = _TOKEN.fullmatch(source)
        if found is None:
            return Decline.PROCESSING_ERROR
        return None if found[1] == "approved" else Decline(found[1])

    def refund(self, reference: str, amount_cents: int, key: str) -> None:
        """Nothing was taken."""

    @property
    def default_method(self) -> tuple[Brand, str, str] | None:
        return (Brand.VISA, "4242", "tok_test_approved") if self._default else None


def open_gateway(name: str, test_method: bool) -> Gateway:
    """The gateway of that name. Raises ConfigError when there is none."""
    if name == TEST:
        return TestGateway(test_method)
    module, _, attribute = name.partition(":")
    try:
        factory: Callable[[], Gateway] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"PAYMENT_GATEWAY={name!r}: {error}; write {TEST}, or module:function of a gateway"
        ) from error
    return factory()
