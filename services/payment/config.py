"""What can be set about the payment service."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.config import Environment


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one payment process.

    `max_amount_cents`: the most one payment may charge, in hundredths of the currency.
    """

    host: str
    port: int
    database: str
    max_amount_cents: int

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
        )
