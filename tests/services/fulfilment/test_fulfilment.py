"""The run of an order: shipped, too late, sold out, cancelled; told twice, or in another order."""

import pytest

from services.fulfilment.events import Item
from services.fulfilment.refunds import RefundRefused, RefundUncertain
from services.fulfilment.stock import State
from services.fulfilment.workflow import run_of
from taskflow import WorkflowResult
from tests.services.fulfilment.doubles import DAY, PIECES, Shop

FULFILLED = [{"order_id": "ord_1", "tracking_number": "T1"}]


def test_an_order_whose_parcel_is_shipped_is_fulfilled(shop: Shop) -> None:
    shop.order()
    shop.work(DAY)
    assert shop.run().state == "suspended"
    assert (shop.stock.state("ord_1"), shop.lamps) == (State.HELD, PIECES - 2)
    shop.ship()
    shop.work()
    assert shop.run().get(0) == "fulfilled"
    assert (shop.stock.state("ord_1"), shop.lamps) == (State.SHIPPED, PIECES - 2)
    assert shop.told() == FULFILLED
    assert shop.refunds.asked == []


def test_a_parcel_that_does_not_come_in_time_is_paid_back(shop: Shop) -> None:
    shop.order()
    shop.work(3 * DAY - 1)
    assert (shop.run().state, shop.lamps) == ("suspended", PIECES - 2)
    shop.work(60)
    assert shop.run().get(0) == "refunded"
    assert (shop.stock.state("ord_1"), shop.lamps) == (State.RELEASED, PIECES)
    assert shop.refunds.given == shop.refunds.asked == ["pay_1"]
    shop.ship()  # too late
    shop.work(DAY)
    assert (shop.told(), shop.stock.state("ord_1")) == ([], State.RELEASED)


def test_an_order_that_costs_nothing_is_given_up_without_a_refund(shop: Shop) -> None:
    shop.order(payment_id=None)
    shop.work(4 * DAY)
    assert (shop.run().get(0), shop.refunds.asked, shop.lamps) == ("refunded", [], PIECES)


def test_a_payment_service_that_is_away_is_asked_again(shop: Shop) -> None:
    shop.refunds.fails = [RefundUncertain("UNAVAILABLE")] * 8
    shop.order()
    shop.work(4 * DAY)
    assert shop.run().get(0) == "refunded"
    assert (len(shop.refunds.asked), shop.refunds.given) == (9, ["pay_1"])


def test_a_refund_that_is_refused_for_good_is_for_an_operator(shop: Shop) -> None:
    shop.refunds.fails = [RefundRefused("NOT_FOUND")]
    shop.order()
    shop.work(4 * DAY)
    run = shop.run()
    assert (run.state, shop.refunds.asked) == ("failed", ["pay_1"])
    assert "NOT_FOUND" in str(run.tree())


def test_what_is_sold_out_is_paid_back_at_once(shop: Shop) -> None:
    lamps: list[Item] = [{"product_name": "Lamp", "quantity": PIECES - 1}]
    assert shop.stock.reserve("k", "ord_0", lamps) is State.HELD
    shop.order()
    shop.work()
    assert (shop.run().get(0), shop.refunds.given) == ("refunded", ["pay_1"])
    assert (shop.lamps, shop.stock.free("Cable")) == (1, PIECES)


def test_an_order_that_is_told_of_again_is_fulfilled_once(shop: Shop) -> None:
    shop.order()
    shop.order()
    shop.work()
    shop.ship()
    shop.work()
    assert shop.told() == FULFILLED
    shop.order()
    shop.work(4 * DAY)
    assert (shop.run().get(0), shop.lamps) == ("fulfilled", PIECES - 2)
    shop.work(31 * DAY)  # the run is forgotten, what became of the order is not
    shop.order()
    shop.work(4 * DAY)
    assert (shop.run().get(0), shop.lamps) == ("shipped before", PIECES - 2)
    assert (shop.told(), shop.refunds.asked) == (FULFILLED, [])


def test_a_parcel_that_is_shipped_before_the_run_waits_for_it(shop: Shop) -> None:
    shop.order()
    while shop.run().state == "unknown":
        assert shop.step()  # the event begins the run, which is in the queue
    shop.ship()
    assert shop.stock.state("ord_1") is None
    shop.work()
    assert (shop.run().get(0), shop.told()) == ("fulfilled", FULFILLED)


def test_the_parcel_of_one_order_is_no_other_ones(shop: Shop) -> None:
    shop.order("ord_1")
    shop.order("ord_2")
    shop.work()
    shop.ship("ord_2")
    shop.ship("ord_3")
    shop.work()
    assert [shop.run(one).state for one in ("ord_1", "ord_2")] == ["suspended", "done"]


def test_a_cancelled_order_is_given_up(shop: Shop) -> None:
    shop.order()
    shop.work()
    shop.cancel()
    shop.cancel()
    shop.work(4 * DAY)
    assert shop.run().state == "cancelled"
    assert (shop.stock.state("ord_1"), shop.lamps) == (State.RELEASED, PIECES)
    assert shop.refunds.given == ["pay_1"]


def test_a_run_that_an_operator_cancels_is_given_up(shop: Shop) -> None:
    shop.order()
    shop.work()
    assert WorkflowResult(run_of("ord_1")).cancel()
    shop.work(4 * DAY)
    assert (shop.stock.state("ord_1"), shop.lamps) == (State.RELEASED, PIECES)
    assert shop.refunds.given == ["pay_1"]


def test_a_run_that_is_cancelled_while_it_reserves_is_given_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = shop.stock.reserve

    def slow(key: str, order_id: str, items: list[Item]) -> State:
        state = reserve(key, order_id, items)
        assert shop.run().cancel()
        return state

    monkeypatch.setattr(shop.stock, "reserve", slow)
    shop.order()
    shop.work(4 * DAY)
    assert (shop.run().state, shop.stock.state("ord_1")) == ("cancelled", State.RELEASED)
    assert (shop.lamps, shop.refunds.given) == (PIECES, ["pay_1"])


def test_an_order_that_is_cancelled_before_it_is_begun_reserves_nothing(shop: Shop) -> None:
    shop.cancel()
    shop.work()
    shop.order()
    shop.work(4 * DAY)
    assert (shop.run().get(0), shop.lamps) == ("cancelled", PIECES)
    assert shop.refunds.asked == []  # payment has heard of the cancelling itself


def test_an_order_that_is_cancelled_after_its_parcel_has_left_stays_fulfilled(shop: Shop) -> None:
    shop.order()
    shop.work()
    shop.ship()
    shop.work()
    shop.cancel()
    shop.work(4 * DAY)
    assert (shop.run().get(0), shop.stock.state("ord_1")) == ("fulfilled", State.SHIPPED)
    assert (shop.lamps, shop.refunds.asked) == (PIECES - 2, [])


def test_an_order_that_is_cancelled_while_its_parcel_leaves(shop: Shop) -> None:
    shop.order()
    shop.work()
    shop.stock.release("ord_1")  # by a handler that dies before it cancels the run
    shop.ship()
    shop.work()
    assert (shop.run().get(0), shop.told()) == ("cancelled", [])


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_at_any_call_leaves_one_reservation_and_one_refund(
    shop: Shop, when: str
) -> None:
    """Each order with a worker that dies one call later, until one lives through it all."""
    number, died = 0, True
    while died:
        number += 1
        order, payment = f"ord_{number}", f"pay_{number}"
        shop.order(order, payment)
        mortal = shop.dying(number, when)
        shop.work(4 * DAY, mortal)
        died = mortal.dead
        assert shop.run(order).get(0) == "refunded"
        assert (shop.stock.state(order), shop.lamps) == (State.RELEASED, PIECES)
        assert shop.refunds.given.count(payment) == 1
    assert number > 15
    repeats = len(shop.refunds.asked) - number
    assert repeats == (when == "before")  # where it died between the refund and its record


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_at_any_call_fulfils_its_order_all_the_same(
    shop: Shop, when: str
) -> None:
    number, died = 0, True
    while died:
        number += 1
        order = f"ord_{number}"
        shop.order(order)
        mortal = shop.dying(number, when)
        shop.work(60, mortal)
        shop.ship(order)
        shop.work(60, mortal if not mortal.dead else None)
        died = mortal.dead
        assert shop.run(order).get(0) == "fulfilled"
        assert shop.lamps == PIECES - 2 * number
    assert number > 10
    told = [one["order_id"] for one in shop.told()]
    assert sorted(told) == sorted(f"ord_{one + 1}" for one in range(number))
    assert shop.refunds.asked == []
