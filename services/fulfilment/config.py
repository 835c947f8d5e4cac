"""What can be set about fulfilment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.certificates import Certificates
from services.config import Environment


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of the fulfilment handlers.

    `pieces`: how many there are of a product that nobody has counted yet. `payment_address`:
    host:port of the payment service; `payment_timeout`: seconds to wait for one refund, repeats
    included. `payment_certificates`: by whom the payment service's certificate is signed, and
    this service's own for it.
    """

    database: str
    pieces: int
    payment_address: str
    payment_timeout: float
    payment_certificates: Certificates = field(default_factory=Certificates)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read FULFILMENT_*; raises ConfigError naming the wrong variable."""
        read = Environment(environ)
        return cls(
            database=read.database("FULFILMENT_DATABASE", "sqlite:///var/fulfilment.db"),
            pieces=read.integer("FULFILMENT_PIECES", 1_000_000_000, low=0, high=2**53),
            payment_address=read.address("FULFILMENT_PAYMENT_ADDRESS", "127.0.0.1:50051"),
            payment_timeout=read.seconds("FULFILMENT_PAYMENT_TIMEOUT", 5.0, low=0.1, high=60.0),
            payment_certificates=Certificates.read(read, "FULFILMENT_PAYMENT"),
        )
