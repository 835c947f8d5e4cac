"""Keeps web pages of others from using the API through somebody's browser."""

from urllib.parse import urlsplit

import falcon

from services.order.problems import Problem


def check_origin(req: falcon.Request) -> None:
    """Raise Problem 403 for what a page of another site made a browser send."""
    site = req.get_header("Sec-Fetch-Site")
    origin = req.get_header("Origin")
    if site in ("cross-site", "same-site") or (origin is not None and not _is_own(origin, req)):
        raise Problem(403, "foreign-origin", "Pages of other sites may not use this API.")


def _is_own(origin: str, req: falcon.Request) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(parts.netloc) and parts.netloc.lower() == req.netloc.lower()
