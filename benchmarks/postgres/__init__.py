"""Queues over PostgreSQL beside each other: one server, no-op jobs, CPU with that of the server."""
