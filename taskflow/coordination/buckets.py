"""Token buckets for rates: what is left of one, wherever it is kept."""

BURST_SECONDS = 0.1
"""A rate may be spent at once for so many seconds' worth, one message at least."""

Bucket = tuple[float, float]
"""(tokens, at): how many there were at that time, in epoch seconds."""


def tokens_in(bucket: Bucket | None, per_second: float, now: float) -> float:
    """How many are there now; a bucket that nobody has spent of is full. Below 0: so many were
    spent in advance."""
    most = max(1.0, per_second * BURST_SECONDS)
    if bucket is None:
        return most
    tokens, at = bucket
    return min(most, tokens + max(0.0, now - at) * per_second)
