"""TLS between services, by files: who one is, and whom one believes."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.config import Environment
from taskflow.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM. `chain` and `key`: one's own certificate; `authorities`: by whom others' must
    be signed. A server with authorities wants a certificate of every client (mutual TLS); a client
    has its own certificate for such servers only."""

    chain: Path | None = None
    key: Path | None = None
    authorities: Path | None = None

    @classmethod
    def read(cls, read: Environment, prefix: str) -> "Certificates":
        """Read PREFIX_CERTIFICATE, PREFIX_CERTIFICATE_KEY, PREFIX_CA. Raises ConfigError."""
        found = cls(
            *(
                Path(text) if (text := read.text(f"{prefix}_{name}", "")) else None
                for name in ("CERTIFICATE", "CERTIFICATE_KEY", "CA")
            )
        )
        if (found.chain is None) != (found.key is None):
            raise ConfigError(f"TLS needs both: {prefix}_CERTIFICATE and {prefix}_CERTIFICATE_KEY")
        return found

    def _check(self) -> None:
        """gRPC takes any bytes, and refuses connections later without a word."""
        context = ssl.create_default_context()
        try:
            if self.chain is not None:
                context.load_cert_chain(self.chain, self.key)
        except (ssl.SSLError, ValueError):
            raise ConfigError(
                f"certificate {str(self.chain)!r} and key {str(self.key)!r} do not belong together"
            ) from None
        try:
            if self.authorities is not None:
                context.load_verify_locations(self.authorities)
        except (ssl.SSLError, ValueError):
            raise ConfigError(f"{str(self.authorities)!r} holds no certificates") from None

    def for_server(self) -> grpc.ServerCredentials | None:
        """None: in clear. Raises ConfigError for what cannot be read, or belongs to no other."""
        if self.chain is None or self.key is None:
            if self.authorities is not None:
                raise ConfigError(
                    f"clients cannot be asked for certificates of {str(self.authorities)!r} "
                    "without one of the server's own"
                )
            return None
        pair, roots = (_read(self.key), _read(self.chain)), _read_if(self.authorities)
        self._check()
        return grpc.ssl_server_credentials(
            [pair], root_certificates=roots, require_client_auth=roots is not None
        )

    def for_client(self) -> grpc.ChannelCredentials | None:
        """None: in clear. Raises ConfigError for what cannot be read."""
        if self.authorities is None:
            if self.chain is not None:
                raise ConfigError(
                    f"{str(self.chain)!r} is shown to a server whose own certificate is known: "
                    "name the authority (CA) that signed it"
                )
            return None
        roots, key, chain = _read(self.authorities), _read_if(self.key), _read_if(self.chain)
        self._check()
        return grpc.ssl_channel_credentials(roots, private_key=key, certificate_chain=chain)


def _read_if(path: Path | None) -> bytes | None:
    return None if path is None else _read(path)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"certificate file {str(path)!r}: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(f"certificate file {str(path)!r} is not in PEM")
    return content
