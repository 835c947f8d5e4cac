"""What can be set about the payment service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.certificates import Certificates
from services.config import Environment


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one payment process.

    `max_amount_cents`: the most one payment may charge, in hundredths of the currency. `gateway`:
    `test`, or module:function of a real one. `test_method`: whether the test gateway's own method
    stands for customers that never saved one. `keys`: a file with the keys of callers that may act
    for customers. `reflection`: whether the gRPC server tells its schema. `certificates`:
    the server's own for TLS, and by whom those of clients must be signed.
    """

    host: str
    port: int
    database: str
    max_amount_cents: int
    gateway: str = "test"
    test_method: bool = True
    keys: Path | None = None
    reflection: bool = False
    certificates: Certificates = field(default_factory=Certificates)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read PAYMENT_*; raises ConfigError naming the wrong variable."""
        read = Environment(environ)
        return cls(
            host=read.text("PAYMENT_HOST", "127.0.0.1"),
            port=read.port("PAYMENT_PORT", 50051),
            database=read.database("PAYMENT_DATABASE", "sqlite:///var/payment.db"),
            max_amount_cents=read.integer(
                "PAYMENT_MAX_AMOUNT_CENTS", 99_999_999, low=1, high=2**63 - 1
            ),
            gateway=read.text("PAYMENT_GATEWAY", "test"),
            test_method=read.switch("PAYMENT_TEST_METHOD", True),
            keys=Path(keys) if (keys := read.text("PAYMENT_KEYS", "")) else None,
            reflection=read.switch("PAYMENT_REFLECTION", False),
            certificates=Certificates.read(read, "PAYMENT"),
        )
