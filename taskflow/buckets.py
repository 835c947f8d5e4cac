"""Token buckets for rates: what is left of one, wherever it is kept."""

BURST_SECONDS = 0.1
"""A rate may be spent at once for so many seconds' worth, one message at least."""

Bucket = tuple[float, float]
"""(tokens, at): how many there were at that time, in epoch seconds."""


def capacity(per_second: float) -> float:
    """How many tokens a bucket holds at most."""
    return max(1.0, per_second * BURST_SECONDS)


def tokens_in(bucket: Bucket | None, per_second: float, now: float) -> float:
    """How many are there now; a bucket that nobody has spent of is full. Below 0: so many were
    spent in advance."""
    if bucket is None:
        return capacity(per_second)
    tokens, at = bucket
    return min(capacity(per_second), tokens + max(0.0, now - at) * per_second)


def drawn(
    bucket: Bucket | None, per_second: float, tokens: float, now: float, skew: float = 0.0
) -> Bucket:
    """The bucket after tokens were taken now. A time that lies ahead by more than `skew` seconds
    is not another host's clock, but one that was set back: it fills up from now on."""
    left = tokens_in(bucket, per_second, now) - tokens
    at = now if bucket is None else bucket[1]
    return left, now if at < now or at > now + skew else at
