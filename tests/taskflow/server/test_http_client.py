"""Posts to servers that mean no good."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taskflow.clock import SystemClock
from taskflow.server.http_client import HttpClient

NOT_YET = b"HTTP/1.1 100 Continue\r\n\r\n"
MANY = 200_000
"""More than are sent and read before a post's time is over."""


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS, which clients of this test trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.fromtimestamp(SystemClock().now(), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(chain_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain_file, key_file)
    return context


@pytest.fixture(params=["http", "https"])
def never_ending(request: pytest.FixtureRequest, tls: ssl.SSLContext) -> Iterator[str]:
    """The URL of a server that says all the time that its answer comes."""
    over, held = threading.Event(), list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held.append(listener.dup())

        def serve() -> None:
            with suppress(OSError):
                plain, _ = listener.accept()
                held.append(plain.dup())
                secure = request.param == "https"
                with tls.wrap_socket(plain, server_side=True) if secure else plain as client:
                    asked = b" "
                    while asked and not asked.endswith(b"body"):  # it may be cut before that
                        asked = client.recv(65_536)
                    for _ in range(MANY):
                        if over.is_set():
                            return
                        client.sendall(NOT_YET)
                    client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    client.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{request.param}://127.0.0.1:{listener.getsockname()[1]}/"
        over.set()
        for one in held:  # whatever it waits for: a caller, one that has gone, its handshake
            with one, suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_post_ends_in_time_whatever_comes_in_meanwhile(never_ending: str) -> None:
    """Each byte in time is no answer in time: it would keep one of a few threads for ever."""
    with pytest.raises((OSError, HTTPException)):
        HttpClient().post(never_ending, {}, b"body", 0.1)
