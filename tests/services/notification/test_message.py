"""The e-mail itself: what it says, that it is always the same, and what it refuses to hold."""

from email import message_from_bytes
from email.policy import default

import pytest

from services.notification.message import BadAddress, OrderCreated, compose

SENDER = "shop@example.org"
ORDER: OrderCreated = {
    "order_id": "ord_1",
    "customer_email": "ada@example.org",
    "items": [{"product_name": "Lamp <&> $5", "quantity": 2, "unit_price_cents": 123456}],
    "total_cents": 246912,
    "currency": "USD",
    "status": "paid",
}


def with_email(address: str) -> OrderCreated:
    return {**ORDER, "customer_email": address}


def parts(order: OrderCreated) -> tuple[str, str]:
    message = message_from_bytes(bytes(compose(order, SENDER, 0.0)), policy=default)
    text, page = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert page is not None
    return text.get_content(), page.get_content()


def test_headers_name_the_order_and_its_customer() -> None:
    message = compose(ORDER, SENDER, 1_795_000_000.0)
    assert (message["From"], message["To"]) == (SENDER, "ada@example.org")
    assert message["Subject"] == "Your order ord_1"
    assert message["Date"] == "Wed, 18 Nov 2026 11:06:40 +0000"
    assert message["Message-ID"].endswith("@example.org>")
    assert message["Auto-Submitted"] == "auto-generated"


def test_text_and_html_tell_the_same_and_html_is_escaped() -> None:
    text, page = parts(ORDER)
    for body in (text, page):
        assert "ord_1" in body
        assert "2,469.12 USD" in body
        assert "1,234.56 USD" in body
    assert "Lamp <&> $5" in text
    assert "Lamp &lt;&amp;&gt; $5" in page


def test_names_in_any_script_arrive_whole() -> None:
    item = {**ORDER["items"][0], "product_name": "Ламп\u0430 \u706f"}
    text, page = parts({**ORDER, "items": [item]})  # type: ignore[list-item]
    assert "Ламп\u0430 \u706f" in text
    assert "Ламп\u0430 \u706f" in page


def test_same_order_is_the_same_bytes() -> None:
    assert bytes(compose(ORDER, SENDER, 5.0)) == bytes(compose(ORDER, SENDER, 5.0))


def test_other_order_is_another_message() -> None:
    other: OrderCreated = {**ORDER, "order_id": "ord_2"}
    ids = {compose(order, SENDER, 0.0)["Message-ID"] for order in (ORDER, other)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nBcc: eve@example.org",
        "ada@example.org, eve@example.org",
        "Ada <ada@example.org>",
    ],
)
def test_address_that_would_change_the_headers_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        compose(with_email(address), SENDER, 0.0)


def test_order_id_that_would_change_the_headers_is_refused() -> None:
    with pytest.raises(BadAddress):
        compose({**ORDER, "order_id": "ord_1\nBcc: eve@example.org"}, SENDER, 0.0)
