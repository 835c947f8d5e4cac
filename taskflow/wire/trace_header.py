"""Trace contexts as SQS carries them beside a message (AWSTraceHeader), and as W3C writes them.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re

_TRACEPARENT = re.compile(r"00-([0-9a-f]{8})([0-9a-f]{24})-([0-9a-f]{16})-([0-9a-f]{2})")
_ROOT = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")
_PARENT = re.compile(r"Parent=([0-9a-f]{16})(?:;|$)")


def trace_header(traceparent: str | None) -> str | None:
    """The header of a W3C traceparent; None for what is none."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    epoch, rest, parent, flags = found.groups()
    return f"Root=1-{epoch}-{rest};Parent={parent};Sampled={int(flags, 16) & 1}"


def header_parent(header: str | None) -> str | None:
    """The traceparent of such a header; None for one that does not say which span it is of."""
    if not header:
        return None
    root, parent = _ROOT.search(header), _PARENT.search(header)
    if root is None or parent is None:
        return None
    sampled = "01" if "Sampled=1" in header else "00"
    return f"00-{root[1]}{root[2]}-{parent[1]}-{sampled}"
