"""The settings of notifications."""

import pytest

from services.notification.config import Config, SmtpAddress
from taskflow.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtp://mail.example.org", SmtpAddress("mail.example.org", 25)),
        ("smtps://mail.example.org", SmtpAddress("mail.example.org", 465, tls=True)),
        (
            "smtp://shop:p%40ss@localhost:2525",
            SmtpAddress("localhost", 2525, user="shop", password="p@ss"),
        ),
    ],
)
def test_mail_server_is_read_from_its_url(url: str, address: SmtpAddress) -> None:
    assert Config.from_environ({"NOTIFICATION_SMTP_URL": url}).smtp == address


@pytest.mark.parametrize("url", ["http://u:secret@x", "smtp://", "smtp://u:secret@x:port", "x"])
def test_wrong_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="NOTIFICATION_SMTP_URL") as caught:
        Config.from_environ({"NOTIFICATION_SMTP_URL": url})
    assert "secret" not in str(caught.value)


def test_wrong_sender_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="NOTIFICATION_FROM"):
        Config.from_environ({"NOTIFICATION_FROM": "shop"})


def test_repr_hides_the_password() -> None:
    config = Config.from_environ({"NOTIFICATION_SMTP_URL": "smtp://shop:secret@localhost"})
    assert "secret" not in repr(config)
