"""The order API hears nobody whom a page of another site sent."""

import pytest

from tests.services.order.doubles import Store

GOOD = {"customer_email": "user@example.com", "items": []}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("shop.localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.1.7", 200),
        ("0.0.0.0:8080", 403),
        ("rebound.example.org", 403),
    ],
)
def test_only_names_that_can_mean_this_machine_are_heard(
    store: Store, host: str, status: int
) -> None:
    answer = store.client.simulate_get("/orders", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        assert answer.json["type"].endswith("unknown-host")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:8080"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(
    store: Store, headers: dict[str, str], status: int
) -> None:
    answer = store.client.simulate_get("/orders", headers={"Host": "localhost:8080", **headers})
    assert answer.status_code == status
    if status == 403:
        assert answer.json["type"].endswith("foreign-origin")
