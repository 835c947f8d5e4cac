"""The mail server of the demo."""

import socket

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.demo.stage import Stage


class MailServer:
    """A real SMTP server that is busy for the first two e-mails to flaky@example.com."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._refusals = 2
        self.mails: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as free:  # aiosmtpd cannot choose one
            self._port: int = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("flaky@") and self._refusals:
            self._refusals -= 1
            self._stage.say("mail server", f"451 mailbox of {address} is busy, try again later")
            return "451 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(content)
        self._stage.say("mail server", f"took an e-mail to {', '.join(envelope.rcpt_tos)}")
        return "250 OK"

    def start(self) -> str:
        """Start; answers the address to send to."""
        self._controller.start()
        return f"smtp://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Stop."""
        self._controller.stop()
