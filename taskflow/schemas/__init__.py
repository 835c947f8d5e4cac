"""Payload types as JSON schemas, compared with those of a release, and with what waits."""
