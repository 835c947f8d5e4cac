"""TLS between order and payment: by files, mutual when asked for."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.certificates import Certificates
from services.config import Environment
from services.order.payments import GrpcPayments, PaymentUnavailable
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from taskflow.clock import SystemClock
from taskflow.errors import ConfigError
from tests.services.payment.conftest import (  # noqa: F401  # fixtures
    clock,
    database,
    repository,
    service,
)

Issue = Callable[[str], tuple[Path, Path]]
TODAY = datetime.fromtimestamp(SystemClock().now(), UTC)
START, END = TODAY - timedelta(days=1), TODAY + timedelta(days=2)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Issue]:
    """A file of an authority, and what issues a certificate and its key, for this machine."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def make(name: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(END)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        chain_file, key_file = tmp_path / f"{name}.pem", tmp_path / f"{name}-key.pem"
        common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        chain_file.write_bytes(make(common, key, ca=False))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return chain_file, key_file

    file = tmp_path / "ca.pem"
    file.write_bytes(make(ca_name, ca_key, ca=True))
    return file, issue


@pytest.fixture
def serve(service: PaymentService) -> Iterator[Callable[[Certificates], int]]:  # noqa: F811
    """Starts a payment server with certificates; answers its port."""
    servers = []

    def start(certificates: Certificates) -> int:
        server = PaymentServer(service, "127.0.0.1", 0, credentials=certificates.for_server())
        server.start()
        servers.append(server)
        return server.port

    yield start
    for server in servers:
        server.stop(0)


def check(port: int, certificates: Certificates) -> None:
    payments = GrpcPayments(f"127.0.0.1:{port}", 5.0, "", certificates.for_client())
    try:
        payments.check()
    finally:
        payments.close()


def test_a_client_that_knows_the_authority_is_served_and_the_wire_is_tls(
    authority: tuple[Path, Issue], serve: Callable[[Certificates], int]
) -> None:
    ca, issue = authority
    chain, key = issue("payment")
    port = serve(Certificates(chain, key))
    check(port, Certificates(authorities=ca))
    shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    assert shown.strip() == chain.read_text().strip()
    for stranger in (Certificates(), Certificates(authorities=chain.with_name("other.pem"))):
        if stranger.authorities is not None:
            stranger.authorities.write_bytes(issue("other")[0].read_bytes())
        with pytest.raises(PaymentUnavailable):
            check(port, stranger)


def test_mutual_tls_serves_only_who_shows_a_certificate_of_the_authority(
    authority: tuple[Path, Issue], serve: Callable[[Certificates], int]
) -> None:
    ca, issue = authority
    port = serve(Certificates(*issue("payment"), ca))
    check(port, Certificates(*issue("order"), ca))
    with pytest.raises(PaymentUnavailable):
        check(port, Certificates(authorities=ca))


def test_without_files_it_is_in_clear(serve: Callable[[Certificates], int]) -> None:
    assert Certificates().for_client() is None
    check(serve(Certificates()), Certificates())


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"P_CERTIFICATE": "a.pem"}, "P_CERTIFICATE and P_CERTIFICATE_KEY"),
        ({"P_CERTIFICATE_KEY": "a.pem"}, "P_CERTIFICATE and P_CERTIFICATE_KEY"),
    ],
)
def test_a_certificate_has_a_key(values: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Certificates.read(Environment(values), "P")


def test_what_cannot_be_is_refused_with_the_files_name(tmp_path: Path) -> None:
    plain, missing = tmp_path / "plain", tmp_path / "missing"
    plain.write_text("no certificate")
    with pytest.raises(ConfigError, match="plain' is not in PEM"):
        Certificates(authorities=plain).for_client()
    with pytest.raises(ConfigError, match="missing': No such file"):
        Certificates(missing, missing).for_server()
    with pytest.raises(ConfigError, match="without one of the server's own"):
        Certificates(authorities=plain).for_server()
    with pytest.raises(ConfigError, match="name the authority"):
        Certificates(plain, plain).for_client()


def test_a_pair_that_is_none_is_refused_before_anybody_connects(
    authority: tuple[Path, Issue], tmp_path: Path
) -> None:
    ca, issue = authority
    (chain, key), (_, other) = issue("payment"), issue("order")
    for pair in ((chain, other), (key, chain)):
        with pytest.raises(ConfigError, match="do not belong together"):
            Certificates(*pair).for_server()
        with pytest.raises(ConfigError, match="do not belong together"):
            Certificates(*pair, ca).for_client()
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for made in (
        Certificates(chain, key, garbage).for_server,
        Certificates(None, None, garbage).for_client,
    ):
        with pytest.raises(ConfigError, match=r"garbage\.pem' holds no certificates"):
            made()


def test_a_read_configuration_is_what_the_files_are() -> None:
    values = {"P_CERTIFICATE": "a", "P_CERTIFICATE_KEY": "b", "P_CA": "c"}
    found = Certificates.read(Environment(values), "P")
    assert found == Certificates(Path("a"), Path("b"), Path("c"))
    assert Certificates.read(Environment({}), "P") == Certificates()
