"""What a payload hides, in the texts that quote it: whatever somebody sends to make that slow."""

from typing import Any

import pytest

from taskflow import Broker, Registry, Worker, task
from taskflow.dashboard.hidden_values import FEW, MOST_LENGTHS, HiddenValues
from taskflow.dashboard.hiding import Hiding
from tests.taskflow.dashboard.site_client import Client

MANY = [f"no{i:04d}" for i in range(2 * FEW)]


@pytest.mark.parametrize("others", [[], MANY])
def test_few_and_many_are_taken_out_alike(others: list[str]) -> None:
    values = HiddenValues(["secret", "secretary", "sec", "4242", *others])
    text = "the secretary said secret to 42424242, and 424 of sec; 4242"
    shown = values.taken_out(text)
    assert shown.replace("…hidden……hidden…", "…hidden…") == (
        "the …hidden… said …hidden… to …hidden…, and 424 of sec; …hidden…"
    )
    assert values.taken_out("sec") == "sec"
    assert HiddenValues([*others, "whole"]).taken_out("whole") == "…hidden…"


def test_of_those_that_lap_over_nothing_is_left() -> None:
    values = HiddenValues([*MANY, "abcdef", "defghi"])
    assert values.taken_out("<abcdefghi>") == "<…hidden…>"


def test_of_many_that_begin_alike_more_is_hidden_rather_than_less() -> None:
    alike = ["card" + "x" * n for n in range(MOST_LENGTHS + 1)]
    values = HiddenValues([*MANY, *alike])
    assert values.taken_out("<cardxyz> and a card") == "<…hidden…"
    assert values.taken_out("a card") == "a …hidden…"


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ([f"{i:05d}" for i in range(100_000)], "0123456789" * 30_000),
        (["a" * n + "b" for n in range(4, 1400)], "a" * 300_000),
    ],
)
def test_a_text_is_looked_through_once_however_many_they_are(payload: Any, text: str) -> None:
    hiding = Hiding()
    assert hiding.quoted(text, hiding.values({"card": payload})).startswith("…hidden…")


def test_the_error_of_a_run_does_not_quote_what_its_input_hides(taskflow_broker: Broker) -> None:
    registry, card = Registry(), "4242424242424242"

    @task(queue="pay", retries=0, result="1d", registry=registry)
    def charge(card: str, amount: int) -> None:
        raise ValueError(f"no {card} today")

    worker = Worker(taskflow_broker, registry=registry)
    worker.drain()
    id = charge.delay(card=card, amount=1).id
    worker.drain()
    page = Client(taskflow_broker).html(f"/workflows/{id}")
    assert "no …hidden… today" in page
    assert card not in page
