"""The settings of fulfilment, and what a worker opens by them."""

from pathlib import Path

import pytest

from services.fulfilment import workflow
from services.fulfilment.config import Config
from taskflow.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FULFILMENT_DATABASE", "mysql://x"),
        ("FULFILMENT_PIECES", "-1"),
        ("FULFILMENT_PAYMENT_ADDRESS", "localhost"),
        ("FULFILMENT_PAYMENT_TIMEOUT", "0"),
        ("FULFILMENT_PAYMENT_CERTIFICATE", "mine.pem"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Config.from_environ({name: value})


def test_a_worker_opens_its_stock_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULFILMENT_DATABASE", f"sqlite:///{tmp_path}/fulfilment.db")
    monkeypatch.setenv("FULFILMENT_PIECES", "7")
    workflow.get_stock.cache_clear()
    stock = workflow.get_stock()
    assert (stock.free("Lamp"), workflow.get_stock() is stock) == (7, True)
    stock.close()
    workflow.get_stock.cache_clear()
