"""The signing key: made once, and what is signed with it verifies against the served page."""

import json
from base64 import b64decode
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from taskflow.broker import Broker
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.server.certificate import certificate_page, ensure_identity
from taskflow.testing import ManualClock
from taskflow.wire.envelope import confirmation
from tests.taskflow.server.wire import get, make_app

URL = "http://localhost:9324"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """An identity; one key is enough for all tests."""
    from taskflow.testing import memory_broker

    clock = ManualClock()
    return ensure_identity(memory_broker(clock=clock), "000000000000", "us-east-1", URL, clock)


@pytest.fixture
def identity(taskflow_broker: Broker, made: dict[str, str]) -> dict[str, str]:
    """The same, noted in the broker of the test."""
    taskflow_broker.set_identity(made)
    return made


def test_the_key_is_kept_and_the_rest_renewed(
    identity: dict[str, str], taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    again = ensure_identity(taskflow_broker, "1" * 12, "eu-west-1", "https://x", taskflow_clock)
    assert again == identity | {"account": "1" * 12, "region": "eu-west-1", "url": "https://x"}
    assert taskflow_broker.identity() == again


def test_the_certificate_is_valid_now_and_for_years(
    made: dict[str, str], taskflow_clock: ManualClock
) -> None:
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    now = taskflow_clock.now()
    assert certificate.not_valid_before_utc.timestamp() < now
    assert certificate.not_valid_after_utc.timestamp() > now + 10 * 365 * 86400
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def fetch_key(identity: dict[str, str], url: str) -> rsa.RSAPublicKey:
    """The public key of the certificate at a URL of the server."""
    app = make_app({}, pages=certificate_page(identity))
    answer = get(app, url.removeprefix(URL))
    assert answer.status == 200
    key = x509.load_pem_x509_certificate(answer.body).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def verify(identity: dict[str, str], envelope: dict[str, Any], names: list[str]) -> None:
    """Check a signature as AWS tells receivers to; raises InvalidSignature."""
    key = fetch_key(identity, envelope["SigningCertURL"])
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    algorithm = hashes.SHA1() if envelope["SignatureVersion"] == "1" else hashes.SHA256()
    signature = b64decode(envelope["Signature"])
    key.verify(signature, text.encode(), padding.PKCS1v15(), algorithm)


NOTIFICATION = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [{}, {"Subject": "About"}])
def test_a_notification_verifies(
    sns: Any,
    taskflow_broker: Broker,
    identity: dict[str, str],
    version: str,
    subject: dict[str, str],
) -> None:
    arn = sns.create_topic(Name="orders", Attributes={"SignatureVersion": version})["TopicArn"]
    taskflow_broker.create_queue("audit")
    queue = "arn:aws:sqs:us-east-1:000000000000:audit"
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    sns.publish(TopicArn=arn, Message="hellø\nworld", **subject)
    (delivery,) = taskflow_broker.receive("audit")
    envelope = json.loads(delivery.body)
    assert envelope["SignatureVersion"] == version
    assert envelope["SigningCertURL"].startswith(f"{URL}/SimpleNotificationService-")
    verify(identity, envelope, NOTIFICATION)
    with pytest.raises(InvalidSignature):
        verify(identity, envelope | {"Message": "forged"}, NOTIFICATION)


@pytest.mark.parametrize("version", [1, 2])
def test_a_question_to_confirm_verifies(identity: dict[str, str], version: Any) -> None:
    subscription = TopicSubscription("1", "orders", "http", "http://x", token="t", pending=True)
    settings = TopicSettings(signature_version=version)
    envelope = json.loads(confirmation(subscription, "m", settings, 1000.0, identity))
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    verify(identity, envelope, names)
    with pytest.raises(InvalidSignature):
        verify(identity, envelope | {"Token": "forged"}, names)
