"""Reservations: once by key, all or nothing, given back once, none after an order was given up."""

import pytest

from services.fulfilment.events import Item
from services.fulfilment.stock import ReservedOtherwise, State, Stock
from tests.services.fulfilment.doubles import PIECES

LAMPS: list[Item] = [
    {"product_name": "Lamp", "quantity": 2},
    {"product_name": "Lamp", "quantity": 1},
]


def test_a_repeat_with_the_same_key_reserves_nothing_more(stock: Stock) -> None:
    assert stock.free("Lamp") == PIECES
    for _ in range(2):
        assert stock.reserve("k", "ord_1", LAMPS) is State.HELD
        assert stock.free("Lamp") == PIECES - 3


def test_another_key_is_refused(stock: Stock) -> None:
    stock.reserve("k", "ord_1", LAMPS)
    with pytest.raises(ReservedOtherwise, match="ord_1"):
        stock.reserve("other", "ord_1", LAMPS)
    assert stock.free("Lamp") == PIECES - 3


def test_what_is_sold_out_reserves_nothing_of_the_rest(stock: Stock) -> None:
    many: list[Item] = [*LAMPS, {"product_name": "Nail", "quantity": PIECES + 1}]
    assert stock.reserve("k", "ord_1", many) is State.SOLD_OUT
    assert (stock.free("Lamp"), stock.free("Nail"), stock.state("ord_1")) == (PIECES, PIECES, None)
    assert stock.reserve("k", "ord_1", LAMPS) is State.HELD


def test_pieces_are_given_back_once(stock: Stock) -> None:
    stock.reserve("k", "ord_1", LAMPS)
    for _ in range(2):
        stock.release("ord_1")
        assert stock.free("Lamp") == PIECES
    assert not stock.ship("ord_1")
    assert stock.reserve("k", "ord_1", LAMPS) is State.RELEASED
    assert stock.free("Lamp") == PIECES


def test_an_order_that_was_given_up_first_reserves_nothing(stock: Stock) -> None:
    stock.release("ord_1")
    assert stock.reserve("k", "ord_1", LAMPS) is State.RELEASED
    assert stock.free("Lamp") == PIECES


def test_what_has_left_is_not_given_back(stock: Stock) -> None:
    stock.reserve("k", "ord_1", LAMPS)
    assert stock.ship("ord_1")
    assert stock.ship("ord_1")
    stock.release("ord_1")
    assert (stock.state("ord_1"), stock.free("Lamp")) == (State.SHIPPED, PIECES - 3)


def test_what_nobody_reserved_does_not_leave(stock: Stock) -> None:
    assert not stock.ship("ord_1")
    assert stock.state("ord_1") is None
