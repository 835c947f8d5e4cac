"""The key that signs SNS messages, and the certificate that their receivers check them with.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from collections.abc import Mapping
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from taskflow.broker.admin import Admin
from taskflow.clock import Clock, to_datetime
from taskflow.server.app import Page
from taskflow.server.protocol import HttpResponse

LIFETIME = 20 * 365 * 86400.0
# A receiver's clock may be behind ours.
BEFORE = 86400.0


def ensure_identity(
    broker: Admin, account: str, region: str, url: str, clock: Clock
) -> dict[str, str]:
    """What the server is, noted in the broker: account, region, url, key, certificate (both PEM)
    and certificate_path. The key is made once and kept; the rest is as it is now."""
    found = broker.identity()
    made = {} if "key" in found else _make_key(clock.now())
    wanted = {**found, **made, "account": account, "region": region, "url": url}
    if wanted != found:
        broker.set_identity(wanted)
    return wanted


def certificate_page(identity: Mapping[str, str]) -> dict[tuple[str, str], Page]:
    """The page that SigningCertURL names."""
    body = identity["certificate"].encode()
    response = HttpResponse(200, (("content-type", "application/x-pem-file"),), body)
    return {("GET", identity["certificate_path"]): lambda _: response}


def _make_key(now: float) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "taskflow SNS")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(to_datetime(now - BEFORE))
        .not_valid_after(to_datetime(now + LIFETIME))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    digest = sha256(certificate).hexdigest()[:32]
    return {
        "key": private.decode(),
        "certificate": certificate.decode(),
        "certificate_path": f"/SimpleNotificationService-{digest}.pem",
    }
