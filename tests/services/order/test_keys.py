"""Who may call the order API: everybody on this machine, elsewhere who has a key."""

from pathlib import Path

import falcon.testing
import pytest

from services.keys import bears_one, is_this_machine, read_keys
from services.order.api import create_app
from services.order.status import HealthResource, StatsResource
from taskflow.errors import ConfigError
from tests.services.order.doubles import Store, new_order

KEYS = {"shop": "abcdefghijklmnop", "till": "0123456789abcdef"}


@pytest.fixture
def client(store: Store) -> falcon.testing.TestClient:
    """The API of `store`, with keys."""
    stats = StatsResource(store.repository, store.outbox, store.broker, store.clock)
    app = create_app(store.service, HealthResource({}), stats, {"falconframework.org"}, KEYS)
    return falcon.testing.TestClient(app)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer abcdefghijklmno",
        "Bearer abcdefghijklmnopq",
        "Basic abcdefghijklmnop",
        "abcdefghijklmnop",
        "Bearer sh\xf6p",
    ],
)
def test_without_a_key_nothing_is_told_or_done(
    client: falcon.testing.TestClient, store: Store, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in (
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("GET", "/orders/ord_1"),
        ("POST", "/orders/ord_1/cancel"),
        ("GET", "/stats"),
        ("GET", "/nowhere"),
    ):
        body = new_order() if method == "POST" else None
        answer = client.simulate_request(method, path, headers=headers, json=body)
        assert answer.status_code == 401
        assert answer.json["type"] == "urn:taskflow:problem:no-key"
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="orders"'
        assert not any(key in answer.text for key in KEYS.values())
    assert store.is_empty()


@pytest.mark.parametrize("key", KEYS.values())
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_any_key_lets_in(client: falcon.testing.TestClient, key: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {key}"}
    assert client.simulate_post("/orders", json=new_order(), headers=headers).status_code == 201
    assert len(client.simulate_get("/orders", headers=headers).json["items"]) == 1


@pytest.mark.parametrize("path", ["/health", "/health/live", "/openapi.json"])
def test_monitors_need_no_key(client: falcon.testing.TestClient, path: str) -> None:
    assert client.simulate_get(path).status_code == 200


def test_an_authorization_of_any_characters_is_no_key() -> None:
    assert not bears_one("Bearer \udcff\ud800", KEYS)
    assert not bears_one("Bearer abcdefghijklmnop", {})


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("shop.example.org", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine_alone(host: str, here: bool) -> None:
    assert is_this_machine(host) is here


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"sh\xe9p: abcdefghijklmnop\n", "is not in UTF-8"),
        (
            b"shop: abcdefghijklmnop\nshop: 0123456789abcdef\n",
            "line 2: there is a key named 'shop'",
        ),
    ],
)
def test_a_file_of_keys_that_cannot_be_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=why) as refused:
        read_keys(file, "ORDER_KEYS")
    assert "0123456789abcdef" not in str(refused.value)


def test_a_file_without_a_key_would_let_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# none yet\n\n")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"ORDER_KEYS=.*holds no key"):
        read_keys(file, "ORDER_KEYS")
