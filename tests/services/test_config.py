"""How settings are read: defaults, and refusals that name the variable and what is allowed."""

from collections.abc import Callable

import pytest

from services.config import Environment
from services.order.config import Config as OrderConfig
from services.payment.config import Config as PaymentConfig
from taskflow.errors import ConfigError

Read = Callable[[Environment], object]


def test_nothing_needs_to_be_set() -> None:
    assert (OrderConfig.from_environ({}).port, PaymentConfig.from_environ({}).port) == (8080, 50051)


def test_empty_value_is_the_default() -> None:
    assert Environment({"X": " "}).port("X", 80) == 80


@pytest.mark.parametrize("text", ["-1", "65536", "http", "1.5"])
def test_wrong_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"X='.*': a whole number from 0 to 65535"):
        Environment({"X": text}).port("X", 80)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "0", "-1"])
def test_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"X=.* seconds are allowed"):
        Environment({"X": text}).seconds("X", 1.0, low=0.1, high=60)


@pytest.mark.parametrize("text", ["host", ":80", "host:", "host:0", "host:port"])
def test_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"X=.*host:port is allowed"):
        Environment({"X": text}).address("X", "localhost:1")


@pytest.mark.parametrize("text", ["var/orders.db", "mysql://u:secret@h/d", "://"])
def test_wrong_database_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ConfigError, match=r"X: .*sqlite://\.\.\. or postgresql://") as caught:
        Environment({"X": text}).database("X", "sqlite:///x.db")
    assert "secret" not in str(caught.value)
