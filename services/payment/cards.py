"""Payment cards: what makes one well formed, and the test network that approves or declines it.

No real network is behind this service. These numbers always end the same way, with any expiry in
the future and any CVC of the right length; every other well-formed card is approved.

| number             | brand      | outcome                              |
|--------------------|------------|--------------------------------------|
| 4242424242424242   | visa       | approved                             |
| 5555555555554444   | mastercard | approved                             |
| 378282246310005    | amex       | approved                             |
| 6011111111111117   | discover   | approved                             |
| 4000000000000002   | visa       | declined: generic_decline            |
| 4000000000009995   | visa       | declined: insufficient_funds         |
| 4000000000009979   | visa       | declined: stolen_card                |
| 4000000000000069   | visa       | declined: expired_card               |
| 4000000000000119   | visa       | declined: processing_error           |
| 4000000000000408   | visa       | never answers: the caller times out  |
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


class Brand(StrEnum):
    """The brands the service takes."""

    VISA = "visa"
    MASTERCARD = "mastercard"
    AMEX = "amex"
    DISCOVER = "discover"


class Decline(StrEnum):
    """Why a card was refused."""

    GENERIC_DECLINE = "generic_decline"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    STOLEN_CARD = "stolen_card"
    EXPIRED_CARD = "expired_card"
    PROCESSING_ERROR = "processing_error"
    NO_PAYMENT_METHOD = "no_payment_method"


@dataclass(frozen=True, slots=True)
class Card:
    """A card as typed by its holder. Its repr shows no field: a repr ends in logs."""

    number: str = field(repr=False)
    exp_month: int = field(repr=False)
    exp_year: int = field(repr=False)
    cvc: str = field(repr=False)

    @property
    def last4(self) -> str:
        """The digits that may be stored and shown."""
        return self.number[-4:]


@dataclass(frozen=True, slots=True)
class Violation:
    """One bad field of a request: its path, and what is wrong with it in a sentence."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class _BrandRule:
    number: re.Pattern[str]
    cvc_length: int


_RULES = {
    Brand.VISA: _BrandRule(re.compile(r"4(\d{12}|\d{15}|\d{18})"), 3),
    # 51-55 and 2221-2720, 16 digits.
    Brand.MASTERCARD: _BrandRule(
        re.compile(r"(5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"), 3
    ),
    Brand.AMEX: _BrandRule(re.compile(r"3[47]\d{13}"), 4),
    Brand.DISCOVER: _BrandRule(re.compile(r"(6011|64[4-9]\d|65\d\d)\d{12}"), 3),
}

TIMEOUT_NUMBER = "4000000000000408"

_DECLINED = {
    "4000000000000002": Decline.GENERIC_DECLINE,
    "4000000000009995": Decline.INSUFFICIENT_FUNDS,
    "4000000000009979": Decline.STOLEN_CARD,
    "4000000000000069": Decline.EXPIRED_CARD,
    "4000000000000119": Decline.PROCESSING_ERROR,
}


def decline_of(number: str) -> Decline | None:
    """How the test network decides: None is an approval."""
    return _DECLINED.get(number)


def find_brand(number: str) -> Brand | None:
    """The brand that issues such numbers, by prefix and length; None when none does."""
    return next((brand for brand, rule in _RULES.items() if rule.number.fullmatch(number)), None)


def passes_luhn(digits: str) -> bool:
    """Whether the check digit of a number is right (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if position % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def check_card(card: Card, now: float) -> Iterator[Violation]:
    """Everything wrong with a card at `now` (epoch seconds). Never repeats what was typed."""
    brand = None
    if not re.fullmatch(r"[0-9]{13,19}", card.number):
        yield Violation("card.number", "must be 13 to 19 digits")
    elif not passes_luhn(card.number):
        yield Violation("card.number", "has a wrong check digit")
    else:
        brand = find_brand(card.number)
        if brand is None:
            brands = ", ".join(Brand)
            yield Violation("card.number", f"is of no brand taken here ({brands})")
    lengths = {_RULES[brand].cvc_length} if brand else {3, 4}
    if not re.fullmatch(r"[0-9]+", card.cvc) or len(card.cvc) not in lengths:
        yield Violation("card.cvc", f"must be {' or '.join(map(str, sorted(lengths)))} digits")
    yield from _check_expiry(card, now)


def _check_expiry(card: Card, now: float) -> Iterator[Violation]:
    today = datetime.fromtimestamp(now, UTC)
    if not 1 <= card.exp_month <= 12:
        yield Violation("card.exp_month", "must be 1 to 12")
        if card.exp_year < today.year:
            yield Violation("card.exp_year", "is in the past")
    elif (card.exp_year, card.exp_month) < (today.year, today.month):
        past = "exp_year" if card.exp_year < today.year else "exp_month"
        yield Violation(f"card.{past}", "is in the past: the card has expired")
    if card.exp_year > today.year + 50:
        yield Violation("card.exp_year", "is too far in the future; write four digits")
