"""Starts the payment service: `python -m services.payment`."""

import logging
import os
from threading import Event

# gRPC prints its own lines about a used port; ours is enough. Read when grpc is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from sqlalchemy.exc import SQLAlchemyError

from services import process
from services.keys import is_this_machine, read_keys
from services.payment.callers import CustomerRights
from services.payment.config import Config
from services.payment.gateway import open_gateway
from services.payment.ids import new_payment_id
from services.payment.repository import PAYMENT_REFUNDED, PaymentRepository
from services.payment.server import PaymentServer, PortUnusable
from services.payment.service import PaymentService
from taskflow import open_broker
from taskflow.clock import SystemClock
from taskflow.errors import TaskflowError
from taskflow.outbox import Relay, SqlAlchemy

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
    try:
        gateway = open_gateway(config.gateway, config.test_method)
        rights = CustomerRights(read_keys(config.keys, "PAYMENT_KEYS"))
        credentials = config.certificates.for_server()
        broker = open_broker(None)
        broker.create_topic(PAYMENT_REFUNDED)
    except TaskflowError as error:
        process.fail(process.first_line(error))
    relay = Relay(SqlAlchemy(repository.engine), broker)
    service = PaymentService(
        repository, SystemClock(), new_payment_id, config.max_amount_cents, gateway, relay.wake
    )
    try:
        server = PaymentServer(
            service,
            config.host,
            config.port,
            rights=rights,
            reflect=config.reflection,
            credentials=credentials,
        )
    except PortUnusable:
        process.fail(
            f"port {config.port} on {config.host} is in use or not allowed;"
            " set PAYMENT_PORT (or PAYMENT_HOST) to another"
        )
    process.exit_on_stop_signals()
    server.start()
    relay.start()
    if credentials is None and not is_this_machine(config.host):
        logger.warning(
            "card numbers come in clear from other machines: set PAYMENT_CERTIFICATE and "
            "PAYMENT_CERTIFICATE_KEY"
        )
    logger.info("payment listens on %s:%d", config.host, server.port)
    try:
        Event().wait()
    finally:
        logger.info("payment stops")
        server.stop(GRACE_SECONDS)
        relay.stop()
        broker.close()
        repository.close()


if __name__ == "__main__":
    main()
