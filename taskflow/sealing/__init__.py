"""Payloads at rest: a codec of the user's seals them on their way into a broker, and opens them."""
