"""Starts the order service: `python -m services.order`."""

import logging

from sqlalchemy.exc import SQLAlchemyError
from waitress.server import create_server

from services import process
from services.database import open_database
from services.keys import is_this_machine, read_keys
from services.order.api import create_app
from services.order.config import Config
from services.order.ids import new_id
from services.order.payments import GrpcPayments
from services.order.repository import OrderRepository
from services.order.service import TOPICS, OrderService
from services.order.status import HealthResource, StatsResource, check_outbox
from services.order.sweeper import Sweeper
from services.order.tables import metadata
from services.tracing import traced
from taskflow.clock import SystemClock
from taskflow.errors import ConfigError, TaskflowError
from taskflow.outbox import Relay, SqlAlchemy
from taskflow.publisher import default_broker

THREADS = 8
MOST_CHARGES = 5  # the other threads answer while the payment service hangs
# Ours answers 413 as problem+json; this one does so before a long body has come.
BACKSTOP_BODY_BYTES = 1024 * 1024
SLOW_SECONDS = 15  # a client that says nothing for so long is cut off

logger = logging.getLogger("services.order")


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in work."""
    process.start_logging()
    config = process.load_settings(Config.from_environ)
    try:
        engine = open_database(config.database, metadata)
    except (SQLAlchemyError, OSError) as error:
        process.fail(f"ORDER_DATABASE cannot be used: {process.first_line(error)}")
    try:
        keys = read_keys(config.keys, "ORDER_KEYS")
        credentials = config.payment_certificates.for_client()
    except ConfigError as error:
        process.fail(process.first_line(error), process.EXIT_USAGE)
    if not keys and not is_this_machine(config.host):
        process.fail(
            f"ORDER_HOST={config.host} lets other machines in, which needs ORDER_KEYS: a file of "
            "lines `name: key` that only its owner may read",
            process.EXIT_USAGE,
        )
    try:
        broker = default_broker()
        for topic in TOPICS:
            broker.create_topic(topic)
        if config.joined and not broker.features.connections:
            raise ConfigError("ORDER_JOINED=on wants one at postgresql://, in ORDER_DATABASE")
    except TaskflowError as error:
        process.fail(f"the broker cannot be used: {process.first_line(error)}")

    clock = SystemClock()
    repository = OrderRepository(engine, config.save)
    payments = GrpcPayments(
        config.payment_address, config.payment_timeout, config.payment_key, credentials
    )
    relay = Relay(SqlAlchemy(engine), broker)
    outbox = relay.outbox
    service = OrderService(
        repository,
        payments,
        clock,
        new_id,
        relay.wake,
        config.payment_timeout,
        MOST_CHARGES,
    )
    sweeper = Sweeper(service.sweep, clock)
    health = HealthResource(
        {
            "database": repository.ping,
            "broker": broker.queues,
            "payment": payments.check,
            "outbox": lambda: check_outbox(outbox),
        }
    )
    stats = StatsResource(repository, outbox, broker, clock)
    app = create_app(service, health, stats, config.hosts, keys)
    try:
        server = create_server(
            traced(app),
            host=config.host,
            port=config.port,
            threads=THREADS,
            connection_limit=1000,
            asyncore_use_poll=True,
            channel_timeout=SLOW_SECONDS,
            cleanup_interval=5,
            max_request_body_size=BACKSTOP_BODY_BYTES,
            ident=None,
        )
    except OSError as error:
        process.fail(
            f"port {config.port} on {config.host} cannot be used ({error.strerror or error});"
            " set ORDER_PORT (or ORDER_HOST) to another"
        )
    # waitress finishes what is in work when it meets SystemExit, and drops it otherwise.
    process.exit_on_stop_signals()
    relay.start()
    sweeper.start()
    logger.info("order listens on %s:%s", config.host, server.effective_port)
    try:
        server.run()
    finally:
        logger.info("order stops")
        sweeper.stop()
        relay.stop()
        payments.close()
        broker.close()
        engine.dispose()


if __name__ == "__main__":
    main()
