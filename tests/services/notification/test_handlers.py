"""One e-mail per order: delivered twice, after failures, after a crash, among two workers."""

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from services.notification import handlers
from services.notification.handlers import CLAIM_SECONDS, Notifier
from services.notification.repository import NotificationRepository
from services.notification.sender import PermanentFailure, TemporaryFailure
from taskflow import Registry, Reject, Retry, publish
from taskflow.testing import ManualClock, drain, memory_broker
from taskflow.topology import declare
from tests.services.notification.test_message import ORDER, with_email


class FakeSender:
    """Keeps the e-mails; raises what it is told to, before or after taking one."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.before: BaseException | None = None
        self.after: BaseException | None = None

    def send(self, message: EmailMessage) -> None:
        if self.before is not None:
            raise self.before
        self.sent.append(message)
        if self.after is not None:
            raise self.after


class Crash(BaseException):
    """The worker dies here: nothing below catches it."""


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[NotificationRepository]:
    repository = NotificationRepository.open(f"sqlite:///{tmp_path / 'notification.db'}")
    yield repository
    repository.close()


@pytest.fixture
def notifier(
    repository: NotificationRepository, sender: FakeSender, clock: ManualClock
) -> Notifier:
    return Notifier(repository, sender, "shop@example.org", clock)


def test_event_delivered_twice_is_one_email(notifier: Notifier, sender: FakeSender) -> None:
    notifier.confirm(ORDER, 0.0)
    notifier.confirm(ORDER, 0.0)
    assert len(sender.sent) == 1


def test_each_order_gets_its_email(notifier: Notifier, sender: FakeSender) -> None:
    notifier.confirm(ORDER, 0.0)
    notifier.confirm({**ORDER, "order_id": "ord_2"}, 0.0)
    assert len(sender.sent) == 2


def test_failed_email_is_tried_again_at_once(notifier: Notifier, sender: FakeSender) -> None:
    sender.before = TemporaryFailure("451")
    for _ in range(2):
        with pytest.raises(TemporaryFailure):
            notifier.confirm(ORDER, 0.0)
    sender.before = None
    notifier.confirm(ORDER, 0.0)
    assert len(sender.sent) == 1


def test_refused_email_is_rejected(notifier: Notifier, sender: FakeSender) -> None:
    sender.before = PermanentFailure("550")
    with pytest.raises(Reject, match="550"):
        notifier.confirm(ORDER, 0.0)


def test_impossible_address_is_rejected(notifier: Notifier, sender: FakeSender) -> None:
    with pytest.raises(Reject):
        notifier.confirm(with_email("a@b\nBcc: c@d"), 0.0)
    assert sender.sent == []


def test_worker_that_died_before_sending_is_replaced_when_its_claim_ends(
    notifier: Notifier, sender: FakeSender, clock: ManualClock
) -> None:
    sender.before = Crash()
    with pytest.raises(Crash):
        notifier.confirm(ORDER, 0.0)
    sender.before = None
    with pytest.raises(Retry) as retry:
        notifier.confirm(ORDER, 0.0)
    assert retry.value.after == CLAIM_SECONDS
    clock.advance(CLAIM_SECONDS)
    notifier.confirm(ORDER, 0.0)
    assert len(sender.sent) == 1


def test_copy_after_a_crash_between_send_and_mark_has_the_same_bytes(
    notifier: Notifier, sender: FakeSender, clock: ManualClock
) -> None:
    """The one window that SMTP leaves open."""
    sender.after = Crash()
    with pytest.raises(Crash):
        notifier.confirm(ORDER, 0.0)
    sender.after = None
    clock.advance(CLAIM_SECONDS)
    notifier.confirm(ORDER, 0.0)
    first, second = sender.sent
    assert bytes(first) == bytes(second)


def test_handler_writes_one_file_through_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFICATION_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("NOTIFICATION_DATABASE", f"sqlite:///{tmp_path}/notification.db")
    handlers.get_notifier.cache_clear()
    registry = Registry()
    registry.subscribe("order.created", queue="notifications")(handlers.send_confirmation)
    broker = memory_broker()
    declare(broker, registry)
    for event_id in ("evt_1", "evt_2"):
        publish("order.created", {**ORDER, "extra": 1}, id=event_id, broker=broker)
    assert len(drain(broker, registry)) == 2
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1
    broker.close()
    handlers.get_notifier()._repository.close()
    handlers.get_notifier.cache_clear()
