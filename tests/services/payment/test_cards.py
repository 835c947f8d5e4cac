"""Card rules, as pure functions."""

from datetime import UTC, datetime

import pytest

from services.payment.cards import Brand, Card, check_card, find_brand, passes_luhn

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()


def bad_fields(
    number: str = "4242424242424242",
    exp_month: int = 12,
    exp_year: int = 2030,
    cvc: str = "123",
    now: float = NOW,
) -> set[str]:
    return {each.field for each in check_card(Card(number, exp_month, exp_year, cvc), now)}


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", Brand.VISA),
        ("4222222222222", Brand.VISA),
        ("5555555555554444", Brand.MASTERCARD),
        ("2223003122003222", Brand.MASTERCARD),
        ("378282246310005", Brand.AMEX),
        ("6011111111111117", Brand.DISCOVER),
        ("30569309025904", None),
    ],
)
def test_brand_follows_from_prefix_and_length(number: str, brand: Brand | None) -> None:
    assert passes_luhn(number)
    assert find_brand(number) is brand


def test_one_wrong_digit_fails_the_check_digit() -> None:
    assert not passes_luhn("4242424242424241")
    assert bad_fields(number="4242424242424241") == {"card.number"}


@pytest.mark.parametrize("number", ["", "4242", "4242 4242 4242 4242", "\uff14" * 16, "x" * 16])
def test_number_must_be_plain_digits(number: str) -> None:
    assert bad_fields(number=number) == {"card.number"}


def test_brand_not_taken_is_refused() -> None:
    assert bad_fields(number="30569309025904") == {"card.number"}


@pytest.mark.parametrize(
    ("number", "cvc", "good"),
    [
        ("4242424242424242", "123", True),
        ("4242424242424242", "1234", False),
        ("378282246310005", "1234", True),
        ("378282246310005", "123", False),
        ("4242424242424242", "12x", False),
        ("4242424242424242", "", False),
    ],
)
def test_cvc_length_follows_the_brand(number: str, cvc: str, good: bool) -> None:
    assert bad_fields(number=number, cvc=cvc) == (set() if good else {"card.cvc"})


def test_card_is_good_until_its_last_month_ends() -> None:
    last = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
    assert bad_fields(exp_month=11, exp_year=2026, now=last) == set()
    assert bad_fields(exp_month=11, exp_year=2026, now=last + 1) == {"card.exp_month"}


@pytest.mark.parametrize(
    ("month", "year", "bad"),
    [
        (0, 2030, {"card.exp_month"}),
        (13, 2030, {"card.exp_month"}),
        (1, 2025, {"card.exp_year"}),
        (1, 30, {"card.exp_year"}),
        (1, 9999, {"card.exp_year"}),
    ],
)
def test_impossible_expiry_names_its_field(month: int, year: int, bad: set[str]) -> None:
    assert bad_fields(exp_month=month, exp_year=year) == bad


def test_every_bad_field_is_named_at_once() -> None:
    assert bad_fields(number="1", exp_month=0, exp_year=2030, cvc="x") == {
        "card.number",
        "card.exp_month",
        "card.cvc",
    }


def test_repr_of_a_card_shows_nothing() -> None:
    assert repr(Card("4242424242424242", 12, 2030, "123")) == "Card()"
