"""What can be set about the order service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.certificates import Certificates
from services.config import Environment
from services.order.events import Save, publish_events, save_events


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one order process.

    `payment_address`: host:port of the payment service. `payment_timeout`: seconds to wait for
    one charge, repeats included. `payment_key`: what the payment service wants of callers from
    other machines. `hosts`: names that clients and proxies call this service by. `keys`: a
    file with the keys of callers. `payment_certificates`: by whom the payment service's certificate
    is signed, and this service's own for it. `joined`: the broker lies in the same database, and
    events are published in the transaction of what they tell.
    """

    host: str
    port: int
    database: str
    payment_address: str
    payment_timeout: float
    payment_key: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset()
    keys: Path | None = None
    payment_certificates: Certificates = field(default_factory=Certificates)
    joined: bool = False

    @property
    def save(self) -> Save:
        """How events are saved."""
        return publish_events if self.joined else save_events

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read ORDER_*; raises ConfigError naming the wrong variable."""
        read = Environment(environ)
        return cls(
            host=read.text("ORDER_HOST", "127.0.0.1"),
            port=read.port("ORDER_PORT", 8080),
            database=read.database("ORDER_DATABASE", "sqlite:///var/order.db"),
            payment_address=read.address("ORDER_PAYMENT_ADDRESS", "127.0.0.1:50051"),
            payment_timeout=read.seconds("ORDER_PAYMENT_TIMEOUT", 5.0, low=0.1, high=60.0),
            payment_key=read.text("ORDER_PAYMENT_KEY", ""),
            hosts=frozenset(read.text("ORDER_HOSTS", "").lower().replace(",", " ").split()),
            keys=Path(keys) if (keys := read.text("ORDER_KEYS", "")) else None,
            payment_certificates=Certificates.read(read, "ORDER_PAYMENT"),
            joined=read.switch("ORDER_JOINED", False),
        )
