"""What a wire server is told, and which of it cannot be."""

from dataclasses import dataclass
from pathlib import Path

from taskflow.errors import ConfigError
from taskflow.server.keys import Keys, keys_file
from taskflow.wire.names import is_account, is_region

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What `taskflow serve` is told. `keys` is the file of access keys; None for a broker that
    can have none. `url` is what clients are told to use (default: the host they used)."""

    host: str = "127.0.0.1"
    port: int = 9324
    account: str = "000000000000"
    region: str = "us-east-1"
    url: str | None = None
    keys: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    allow_reset: bool = False
    local_targets: bool = False
    """With keys: whether subscriptions may name URLs of this machine and its links."""
    shared: bool = False
    """Whether other processes of this server listen on the port too (`listening.reserve`)."""

    def url_at(self, port: int) -> str:
        """What clients are told to use, on this port."""
        scheme = "https" if self.certificate else "http"
        shown = f"[{self.host}]" if ":" in self.host else self.host
        if self.host in ("0.0.0.0", "::"):
            shown = "localhost"
        return self.url or f"{scheme}://{shown}:{port}"


def find_keys(address: str) -> Path | None:
    """Where the access keys of the broker at an address lie, if nobody says; None for one that has
    no file to lie beside: in memory, at a database server."""
    scheme = address.partition(":")[0]
    return None if scheme in ("memory", "postgresql", "postgres") else keys_file(address)


def check_options(options: ServerOptions) -> None:
    """Raise ConfigError for options that cannot be, saying what would do."""
    if not is_account(options.account):
        raise ConfigError(f"account is {options.account!r}; twelve digits")
    if not is_region(options.region):
        raise ConfigError(f"region is {options.region!r}; example: us-east-1")
    if (options.certificate is None) != (options.certificate_key is None):
        raise ConfigError("TLS needs both: --certificate and --certificate-key")
    has_keys = options.keys is not None and Keys.load(options.keys).configured
    if options.host not in LOOPBACK and not has_keys:
        raise ConfigError(
            f"--host {options.host} lets other machines in, which needs access keys: "
            "`taskflow keys add NAME` makes one"
        )
