"""TLS between services, by files: who one is, and whom one believes."""

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

    def for_server(self) -> grpc.ServerCredentials | None:
        """None: in clear. Raises ConfigError for what cannot be read, or belongs to no other."""
        if self.chain is None or self.key is None:
            if self.authorities is not None:
                raise ConfigError(
                    f"clients cannot be asked for certificates of {str(self.authorities)!r} "
                    "without one of the server's own"
                )
            return None
        return grpc.ssl_server_credentials(
            [(_read(self.key), _read(self.chain))],
            root_certificates=_read(self.authorities) if self.authorities else None,
            require_client_auth=self.authorities is not None,
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
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.authorities),
            private_key=_read(self.key) if self.key else None,
            certificate_chain=_read(self.chain) if self.chain else None,
        )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"certificate file {str(path)!r}: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(f"certificate file {str(path)!r} is not in PEM")
    return content
