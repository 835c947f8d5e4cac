"""E-mails into files and through a real SMTP server on a free port."""

from asyncio.base_events import Server
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from services.notification.config import Config, SmtpAddress
from services.notification.sender import (
    FileSender,
    PermanentFailure,
    SmtpSender,
    TemporaryFailure,
    make_sender,
)


class Mailbox:
    """Keeps the e-mails it gets; answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.to_recipient = "250 OK"
        self.to_data = "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.to_data.startswith("250"):
            self.got.append(envelope.content)
        return self.to_data


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


class FreePortController(Controller):
    """Listens on port 0, and knows afterwards which port that was."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        trigger: Any = super()._trigger_server  # aiosmtpd has no types
        trigger()


@pytest.fixture
def address(mailbox: Mailbox) -> Iterator[SmtpAddress]:
    controller = FreePortController(mailbox, hostname="127.0.0.1", port=0)
    controller.start()
    yield SmtpAddress("127.0.0.1", controller.port)
    controller.stop()


@pytest.fixture
def message() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.org", "ada@example.org"
    message["Message-ID"], message["Subject"] = "<abc@example.org>", "Your order"
    message.set_content("Thank you.")
    return message


def test_file_holds_the_whole_message_and_nothing_is_left_over(
    tmp_path: Path, message: EmailMessage
) -> None:
    sender = FileSender(tmp_path / "deep" / "outbox")
    sender.send(message)
    sender.send(message)
    [file] = (tmp_path / "deep" / "outbox").iterdir()
    assert file.name == "abc.eml"
    assert file.read_bytes() == bytes(message)


def test_folder_that_is_none_is_a_temporary_failure(tmp_path: Path, message: EmailMessage) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TemporaryFailure):
        FileSender(tmp_path / "file").send(message)


def test_smtp_server_gets_the_message(
    address: SmtpAddress, mailbox: Mailbox, message: EmailMessage
) -> None:
    SmtpSender(address).send(message)
    [got] = mailbox.got
    assert b"Message-ID: <abc@example.org>" in got


@pytest.mark.parametrize(
    ("stage", "answer", "failure"),
    [
        ("to_recipient", "550 no such user", PermanentFailure),
        ("to_recipient", "450 mailbox busy", TemporaryFailure),
        ("to_data", "554 looks like spam", PermanentFailure),
        ("to_data", "451 try later", TemporaryFailure),
    ],
)
def test_5yz_is_permanent_and_4yz_temporary(
    address: SmtpAddress,
    mailbox: Mailbox,
    message: EmailMessage,
    stage: str,
    answer: str,
    failure: type[Exception],
) -> None:
    setattr(mailbox, stage, answer)
    with pytest.raises(failure, match=answer[:3]):
        SmtpSender(address).send(message)
    assert mailbox.got == []


def test_refused_login_is_temporary_since_the_message_is_not_to_blame(
    address: SmtpAddress, message: EmailMessage
) -> None:
    with_user = SmtpAddress(address.host, address.port, user="shop", password="wrong")
    with pytest.raises(TemporaryFailure):
        SmtpSender(with_user).send(message)


def test_no_server_is_a_temporary_failure(address: SmtpAddress, message: EmailMessage) -> None:
    with pytest.raises(TemporaryFailure):
        SmtpSender(SmtpAddress("127.0.0.1", 1)).send(message)


def test_settings_choose_the_sender() -> None:
    by_mail = Config.from_environ({"NOTIFICATION_SMTP_URL": "smtp://mail.example.org"})
    assert isinstance(make_sender(by_mail), SmtpSender)
    assert isinstance(make_sender(Config.from_environ({})), FileSender)
