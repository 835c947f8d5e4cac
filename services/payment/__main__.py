"""Starts the payment service: `python -m services.payment`."""

import logging
import os
from threading import Event

# gRPC prints its own lines about a used port; ours is enough. Read when grpc is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from sqlalchemy.exc import SQLAlchemyError

from services import process
from services.payment.config import Config
from services.payment.ids import new_payment_id
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer, PortUnusable
from services.payment.service import PaymentService
from taskflow.clock import SystemClock

GRACE_SECONDS = 10.0

logger = logging.getLogger("services.payment")


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in work."""
    process.start_logging()
    config = process.load_settings(Config.from_environ)
    try:
        repository = PaymentRepository.open(config.database)
    except (SQLAlchemyError, OSError) as error:
        process.fail(f"PAYMENT_DATABASE cannot be used: {process.first_line(error)}")
    service = PaymentService(repository, SystemClock(), new_payment_id, config.max_amount_cents)
    try:
        server = PaymentServer(service, config.host, config.port)
    except PortUnusable:
        process.fail(
            f"port {config.port} on {config.host} is in use or not allowed;"
            " set PAYMENT_PORT (or PAYMENT_HOST) to another"
        )
    process.exit_on_stop_signals()
    server.start()
    logger.info("payment listens on %s:%d", config.host, server.port)
    try:
        Event().wait()
    finally:
        logger.info("payment stops")
        server.stop(GRACE_SECONDS)
        repository.close()


if __name__ == "__main__":
    main()
