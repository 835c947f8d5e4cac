"""A request in the one form that is signed, whatever proxies and SDKs did to its spelling.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from collections.abc import Sequence
from urllib.parse import quote, unquote_to_bytes


def canonical_path(path: str) -> bytes:
    """Dots and double slashes resolved, then encoded once more: what only S3 leaves out."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    normal = "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
    return quote(normal, safe="/~", encoding="latin-1").encode()


def canonical_query(query: str, presigned: bool) -> bytes:
    """Sorted and encoded anew; a presigned one without its own signature."""
    pairs = sorted(
        (quote(name, safe=""), quote(value, safe=""))
        for name, value in split_query(query)
        if not (presigned and name == b"X-Amz-Signature")
    )
    return "&".join(f"{name}={value}" for name, value in pairs).encode()


def split_query(query: str) -> list[tuple[bytes, bytes]]:
    """Names and values, decoded. A plus is a space here, as in the form that is read later."""
    pairs = (pair.replace("+", " ").partition("=") for pair in query.split("&") if pair)
    return [
        (unquote_to_bytes(name.encode("latin-1")), unquote_to_bytes(value.encode("latin-1")))
        for name, _, value in pairs
    ]


def canonical_header(headers: Sequence[tuple[str, str]], name: str) -> bytes:
    """A header with all its values, their white space folded."""
    values = (b" ".join(value.encode("latin-1").split()) for one, value in headers if one == name)
    return name.encode("latin-1") + b":" + b",".join(values)
