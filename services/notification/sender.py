"""Sends e-mails: through an SMTP server, or into a folder as .eml files."""

import logging
import os
import smtplib
import ssl
import tempfile
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from services.notification.config import Config, SmtpAddress

TIMEOUT_SECONDS = 10.0

logger = logging.getLogger("services.notification")


class TemporaryFailure(Exception):
    """The e-mail was not taken now; trying again later may help."""


class PermanentFailure(Exception):
    """The e-mail will never be taken as it is."""


class Sender(Protocol):
    """Whoever takes e-mails. Thread-safe."""

    def send(self, message: EmailMessage) -> None:
        """Hand the e-mail over; raises TemporaryFailure or PermanentFailure."""
        ...


def make_sender(config: Config) -> Sender:
    """The sender that the settings ask for."""
    return SmtpSender(config.smtp) if config.smtp else FileSender(config.outbox)


class FileSender:
    """Writes each e-mail as a file named after its Message-ID: the same e-mail, the same file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> None:
        """Write the file; nobody ever sees half of it."""
        name = message["Message-ID"].strip("<>").partition("@")[0] + ".eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(bytes(message))
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self._folder / name)
            except BaseException:
                Path(temporary).unlink()
                raise
        except OSError as error:
            raise TemporaryFailure(f"cannot write into {self._folder}: {error}") from error
        logger.info("e-mail %r written to %s", str(message["Subject"]), self._folder / name)


class SmtpSender:
    """Sends through an SMTP server, one connection for each e-mail.

    STARTTLS is used where it is offered. A password is only sent over TLS, or to this machine.
    """

    def __init__(self, address: SmtpAddress) -> None:
        self._address = address

    def send(self, message: EmailMessage) -> None:
        """Hand the e-mail to the server: 5yz is permanent, everything else temporary."""
        try:
            connection = self._connect()
            try:
                connection.send_message(message)
            finally:
                # The e-mail is taken or refused by now: a failing goodbye changes nothing.
                with suppress(OSError, smtplib.SMTPException):
                    connection.quit()
                connection.close()
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _failure(max(codes), "the recipient is refused") from error
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise _failure(error.smtp_code, "the e-mail is refused") from error
        except smtplib.SMTPNotSupportedError as error:
            raise PermanentFailure(f"the server cannot take this e-mail: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            # Also a refused login: the operator mends it, the e-mail is not to blame.
            raise TemporaryFailure(f"SMTP failed: {type(error).__name__}: {error}") from error
        logger.info("e-mail %r sent", str(message["Subject"]))

    def _connect(self) -> smtplib.SMTP:
        address = self._address
        context = ssl.create_default_context()
        if address.tls:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                address.host, address.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(address.host, address.port, timeout=TIMEOUT_SECONDS)
        try:
            self._secure(connection, context)
        except BaseException:
            connection.close()
            raise
        return connection

    def _secure(self, connection: smtplib.SMTP, context: ssl.SSLContext) -> None:
        address = self._address
        connection.ehlo()
        safe = address.tls or address.host in ("localhost", "127.0.0.1", "::1")
        if not address.tls and connection.has_extn("starttls"):
            connection.starttls(context=context)
            connection.ehlo()
            safe = True
        if address.user:
            if not safe:
                raise smtplib.SMTPException("the server offers no TLS; the password stays here")
            try:
                connection.login(address.user, address.password or "")
            except smtplib.SMTPNotSupportedError as error:
                raise smtplib.SMTPException("the server takes no login") from error


def _failure(code: int, text: str) -> Exception:
    kind = PermanentFailure if 500 <= code < 600 else TemporaryFailure
    return kind(f"{text} ({code})")
